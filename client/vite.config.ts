/** The build: one hashed script and sheet, nothing inline, and a service worker with their names. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const SERVER = process.env['PNL_SERVER'] ?? 'http://127.0.0.1:3000';

export default defineConfig({
  plugins: [react(), serviceWorker()],
  resolve: { tsconfigPaths: true }, // The dashboard is built from the source of pnl-client.
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: 'index.html', sw: 'src/sw.ts' },
      output: { entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
  server: { proxy: { '/api': SERVER, '/health': SERVER, '/socket.io': { target: SERVER, ws: true } } },
  test: { include: ['tests/**/*.test.{ts,tsx}', 'packages/*/tests/**/*.test.{ts,tsx}'] },
});

function serviceWorker(): Plugin {
  return {
    name: 'service-worker-files',
    apply: 'build',
    generateBundle(_options, bundle) {
      const ours = readdirSync('public').sort();
      const built = Object.keys(bundle).filter((name) => name.startsWith('assets/')).sort();
      const files = [...built, ...ours].map((name) => `/${name}`);
      const hash = createHash('sha256').update(built.join('\n')); // Their names change with their content.
      for (const path of ['index.html', ...ours.map((name) => `public/${name}`)]) hash.update(readFileSync(path));
      const version = hash.digest('hex').slice(0, 12);
      const worker = bundle['sw.js'];
      if (worker?.type !== 'chunk') throw new Error('the service worker was not built');
      worker.code = worker.code.replaceAll('__FILES__', JSON.stringify(files)).replaceAll('__VERSION__', JSON.stringify(version));
    },
  };
}
