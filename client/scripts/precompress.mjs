/** Writes .br and .gz beside every built file that they make smaller, so that the server never compresses at request time. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const DIST = new URL('../dist', import.meta.url).pathname;
const WORTH_IT = /\.(js|css|html|svg|webmanifest)$/;

for (const entry of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name);
  if (!entry.isFile() || !WORTH_IT.test(path)) continue;
  const content = readFileSync(path);
  const quality = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  for (const [suffix, packed] of [
    ['br', brotliCompressSync(content, { params: quality })],
    ['gz', gzipSync(content, { level: 9 })],
  ]) {
    if (packed.length < content.length) writeFileSync(`${path}.${suffix}`, packed);
  }
}
