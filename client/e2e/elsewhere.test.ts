/** The store outside the dashboard's own build: bundled without Vite, in Node and in a page; and the dashboard on another host than its server. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync, type BuildOptions } from 'esbuild';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { build as buildWithVite, preview, type PreviewServer } from 'vite';
import { launch, open, until } from './browser';
import { live, text } from './page';
import { startServer, type RunningServer } from './server';
import { reactPage, serve } from './site';

const CLIENT = new URL('..', import.meta.url).pathname;
const STORE = JSON.stringify(join(CLIENT, 'src/pnlStore'));
const UPDATES = 3;
let server: RunningServer;
let browser: Browser;
let files: string;

beforeAll(async () => {
  files = mkdtempSync(join(tmpdir(), 'pnl-elsewhere-'));
  server = await startServer();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await server?.dispose();
  rmSync(files, { recursive: true, force: true });
});

/** Bundles a program as any project would, with no word of Vite; a warning fails the test. */
function bundle(program: string, options: BuildOptions): string {
  const { outputFiles = [], warnings } = buildSync({
    stdin: { contents: program, resolveDir: CLIENT, loader: 'tsx' },
    bundle: true,
    write: false,
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'silent',
    ...options,
  });
  expect(warnings).toEqual([]);
  return outputFiles[0]?.text ?? '';
}

it.each(['esm', 'cjs'] as const)('the store runs in Node, bundled as %s, and the program ends after it', async (format) => {
  const program = `
    import { configurePnLStore, pnlStore } from ${STORE};
    configurePnLStore({ apiUrl: process.argv[2] });
    pnlStore.subscribe(({ pnl, transport }, before) => {
      if (pnl.seq === before.pnl.seq) return;
      console.log(JSON.stringify({ seq: pnl.seq, net: pnl.netPnL, transport }));
      if (pnlStore.getState().history.length >= ${UPDATES}) pnlStore.getState().disconnect();
    });
    void pnlStore.getState().initSocket();`;
  const banner = format === 'esm' ? "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" : '';
  const code = bundle(program, { platform: 'node', format, banner: { js: banner } });
  const child = spawn(process.execPath, [`--input-type=${format === 'esm' ? 'module' : 'commonjs'}`, '-', server.url], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  let complained = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (complained += chunk.toString()));
  child.stdin.end(code);
  const deadline = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const [status] = (await once(child, 'exit')) as [number | null];
  clearTimeout(deadline);
  expect({ complained, status, said }).toMatchObject({ complained: '', status: 0 });
  const updates = said.trim().split('\n').map((line) => JSON.parse(line) as { seq: number; net: number; transport: string });
  expect(updates.length).toBeGreaterThan(0);
  expect(updates.every(({ seq, net }) => seq > 0 && Number.isFinite(net))).toBe(true);
  expect(updates.at(-1)?.transport).toBe('websocket');
});

it('the store runs in a page that no Vite has built, told where the server is', async () => {
  const code = bundle(
    `
    import { createRoot } from 'react-dom/client';
    import { useEffect } from 'react';
    import { configurePnLStore, usePnLConnection, usePnLMetrics, usePnLSocket } from ${STORE};
    configurePnLStore({ apiUrl: ${JSON.stringify(`${server.url}/api`)} });
    function Page() {
      const { initSocket, disconnect } = usePnLSocket();
      const { netPnL, seq } = usePnLMetrics();
      const { connected } = usePnLConnection();
      useEffect(() => (void initSocket(), disconnect), [initSocket, disconnect]);
      return <p data-testid="page">{[connected, seq, netPnL].join(' ')}</p>;
    }
    createRoot(document.getElementById('root')).render(<Page />);`,
    { format: 'iife', platform: 'browser' },
  );
  const site = await serve(reactPage(code));
  const { page, complaints, close } = await open(browser);
  try {
    await page.goto(site.url);
    const seen = new Set<string>();
    await until(text(page, 'page'), (words) => seen.add(words).size >= UPDATES && words.startsWith('true '));
    expect(complaints).toEqual([]);
  } finally {
    await close();
    await site.close();
  }
});

it.each(['VITE_API_URL', 'VITE_WS_URL'])('the dashboard of another host honours %s', async (name) => {
  const settings = { VITE_API_URL: `${server.url}/api`, VITE_WS_URL: `${server.url.replace('http:', 'ws:')}/pnl-stream` };
  const site = await builtWith({ VITE_WS_SECURE: 'false', [name]: settings[name as keyof typeof settings] });
  const { page, complaints, close } = await open(browser);
  try {
    const asked = new Set<string>();
    page.on('request', (request) => asked.add(request.url()));
    await page.goto(`http://127.0.0.1:${(site.httpServer.address() as AddressInfo).port}/`);
    await live(page);
    const first = await until(text(page, 'net'), (net) => /\d/.test(net));
    await until(text(page, 'net'), (net) => net !== first);
    expect([...asked].filter((url) => url.includes('/api/')).every((url) => url.startsWith(server.url))).toBe(true);
    expect(complaints).toEqual([]);
  } finally {
    await close();
    await site.close();
  }
});

/** The dashboard, built with these variables as `npm run build` does, and served by a host of its own. */
async function builtWith(variables: Record<string, string>): Promise<PreviewServer> {
  const outDir = mkdtempSync(join(files, 'dist-'));
  const before = { ...process.env };
  Object.assign(process.env, variables, { NODE_ENV: 'production' });
  try {
    await buildWithVite({ root: CLIENT, configFile: join(CLIENT, 'vite.config.ts'), logLevel: 'error', build: { outDir, emptyOutDir: true } });
  } finally {
    process.env = before;
  }
  return preview({ root: CLIENT, configFile: false, logLevel: 'error', build: { outDir }, preview: { port: 0, host: '127.0.0.1' } });
}
