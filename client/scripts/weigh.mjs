/** Prints what a first visit downloads, as JSON: bytes of script and style, raw, gzipped and with Brotli. */

import { readdirSync, readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const ASSETS = new URL('../dist/assets/', import.meta.url).pathname;

function weigh(extension) {
  const contents = readdirSync(ASSETS)
    .filter((name) => name.endsWith(extension))
    .map((name) => readFileSync(ASSETS + name));
  const total = (size) => contents.reduce((sum, content) => sum + size(content), 0);
  return {
    raw: total((content) => content.length),
    gzip: total((content) => gzipSync(content, { level: 9 }).length),
    brotli: total((content) => brotliCompressSync(content).length),
  };
}

console.log(JSON.stringify({ script: weigh('.js'), style: weigh('.css') }, null, 2));
