/** The client as a package: what it holds, and that a plain React application on it shows the figures of one server and of two. */

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launch, open, until, type Watched } from './browser';
import { text } from './page';
import { createApplication, installed, pack, PACKAGE, readJson, type Application, type Packed } from './plain/application';
import { startServer, type RunningServer } from './server';
import { reactPage, serve } from './site';

const KEYS = { left: 'the-read-key-of-the-left-server-0123456789', right: 'the-read-key-of-the-right-server-987654321' };
const LICENCE = new URL('../../LICENSE', import.meta.url).pathname;
const UPDATES = 4;
const VERSIONS = {
  'of this checkout': { react: installed('react'), zustand: installed('zustand'), types: installed('@types/react') },
  'that are the oldest it admits': { react: '18.0.0', zustand: '4.5.0', types: '18.3.1' },
};

interface Figures {
  epoch: string;
  seq: number;
  netPnL: number;
}

let packed: Packed;
let left: RunningServer;
let right: RunningServer;
let browser: Browser;

beforeAll(async () => {
  const settings = { KALSHI_POLL_MS: '1000' }; // Some figure moves with every update.
  packed = await pack();
  left = await startServer({ ...settings, API_KEY: KEYS.left });
  right = await startServer({ ...settings, API_KEY: KEYS.right });
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([left?.dispose(), right?.dispose()]);
  packed?.dispose();
});

describe('the tarball', () => {
  it('holds each module with its types, the licence, the description, and nothing else', () => {
    const modules = readdirSync(join(PACKAGE, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
    const built = modules.flatMap((path) => ['.js', '.d.ts'].map((extension) => `dist/${path.replace(/\.ts$/, extension)}`));
    expect(packed.files).toEqual([...built, 'LICENSE', 'README.md', 'package.json'].sort());
    expect(readFileSync(join(packed.folder, 'LICENSE'), 'utf8')).toBe(readFileSync(LICENCE, 'utf8'));
  });

  it('has what its entries name, and they have types', () => {
    const { exports } = readJson(join(packed.folder, 'package.json')) as { exports: Record<string, string | { types: string; default: string }> };
    const named = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : [entry.types, entry.default]));
    expect(named.map((path) => path.slice('./'.length)).filter((path) => !packed.files.includes(path))).toEqual([]);
  });

  it('expects nothing of a bundler', () => {
    const scripts = packed.files.filter((path) => path.endsWith('.js')).map((path) => readFileSync(join(packed.folder, path), 'utf8'));
    expect(scripts.filter((script) => /import\.meta|process\.|require\(|sourceMappingURL/.test(script))).toEqual([]);
  });
});

describe.each(Object.entries(VERSIONS))('an application with the React and the zustand %s', (_name, versions) => {
  let application: Application;

  beforeAll(async () => void (application = await createApplication(packed.tarball, versions)));
  afterAll(() => application?.dispose());

  it('shows the figures of a server by the hooks alone', async () => {
    const { page, complaints, close } = await openPage(application, 'src/oneServer.tsx', { url: left.url, key: KEYS.left });
    const shown = await watch(text(page, 'figures'));
    expect(await text(page, 'state')()).toBe('true  true true');
    await expectFiguresOf(left, KEYS.left, shown);
    expect(complaints).toEqual([]);
    await close();
  });

  it('shows two servers on one page, each with its own key, figures and storage', async () => {
    const query = { 'left-url': left.url, 'left-key': KEYS.left, 'right-url': right.url, 'right-key': KEYS.right };
    const { page, complaints, close } = await openPage(application, 'src/twoServers.tsx', query);
    const [ofLeft, ofRight] = await Promise.all(['left', 'right'].map((name) => watch(text(page, `${name}-figures`))));
    await expectFiguresOf(left, KEYS.left, ofLeft ?? []);
    await expectFiguresOf(right, KEYS.right, ofRight ?? []);
    const kept = (): Promise<Record<string, string>> => page.evaluate(() => ({ ...localStorage }));
    const storage = await until(kept, (names) => Object.keys(names).length >= 2);
    expect(Object.keys(storage).sort()).toEqual(['left-store', 'right-store']);
    expect(storage['left-store']).toContain(JSON.stringify(ofLeft?.[0]?.epoch));
    expect(storage['right-store']).toContain(JSON.stringify(ofRight?.[0]?.epoch));

    await page.click('[data-testid=left-stop]');
    expect(await until(text(page, 'left-state'), (state) => state !== 'true ')).toBe('false ');
    await watch(text(page, 'right-figures'));
    expect(await text(page, 'right-state')()).toBe('true ');
    expect(complaints).toEqual([]);
    await close();
  });

  it('goes on with one server when the other refuses its key', async () => {
    const query = { 'left-url': left.url, 'left-key': KEYS.right, 'right-url': right.url, 'right-key': KEYS.right };
    const { page, close } = await openPage(application, 'src/twoServers.tsx', query);
    await until(text(page, 'left-state'), (state) => /^false .*key/i.test(state));
    await watch(text(page, 'right-figures'));
    expect(await text(page, 'right-state')()).toBe('true ');
    await close();
  });

  it.each(['bundler', 'nodenext'] as const)('type-checks with the module resolution %s', async (resolution) => {
    expect(await application.typeErrors(resolution)).toBe('');
  });

  it('has the store without React in `pnl-client/vanilla`', async () => {
    const { inputs } = await application.bundle('pnl-client/vanilla');
    const packages = new Set(Object.keys(inputs).map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]));
    expect(packages).toContain('pnl-client');
    expect(packages).toContain('zustand');
    expect(packages).not.toContain('react');
  });

  it.each(['module', 'commonjs'] as const)('runs in Node as %s', async (type) => {
    const load = type === 'module' ? "import { createPnLStore } from 'pnl-client/vanilla';" : "const { createPnLStore } = require('pnl-client/vanilla');";
    const program = `${load}
      const store = createPnLStore({ apiUrl: ${JSON.stringify(left.url)}, apiKey: ${JSON.stringify(KEYS.left)} });
      store.subscribe(({ pnl: { epoch, seq, netPnL }, history }, before) => {
        if (seq === before.pnl.seq) return;
        console.log(JSON.stringify({ epoch, seq, netPnL }));
        if (history.length >= ${UPDATES}) store.getState().disconnect();
      });
      void store.getState().initSocket();`;
    const lines = await output(application, program, type);
    await expectFiguresOf(left, KEYS.left, lines.map((line) => JSON.parse(line) as Figures));
  });
});

describe('the programs of the README', () => {
  const END = `
    const unsubscribe = store.subscribe(({ history, pnl }) => {
      if (history.length < ${UPDATES}) return;
      unsubscribe();
      store.getState().disconnect();
      console.log('net', pnl.netPnL);
    });
    void store.getState().initSocket();`;
  let application: Application;

  beforeAll(async () => void (application = await createApplication(packed.tarball, VERSIONS['of this checkout'])));
  afterAll(() => application?.dispose());

  /** The program under a heading, with the addresses and keys of these servers. */
  function printed(heading: string): string {
    const section = readFileSync(join(packed.folder, 'README.md'), 'utf8').split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
    const [, program = ''] = /```jsx?\n(.*?)```/s.exec(section ?? '') ?? [];
    const here: Record<string, string> = {
      "'http://localhost:3000'": `'${left.url}'`,
      'your-api-key': KEYS.left,
      "'https://live.example', apiKey: 'the-key-of-live'": `'${left.url}', apiKey: '${KEYS.left}'`,
      "'https://demo.example'": `'${right.url}', apiKey: '${KEYS.right}'`,
    };
    return Object.entries(here).reduce((text, [given, local]) => text.replaceAll(given, local), program);
  }

  it('show one server, and two', async () => {
    application.write('src/one.jsx', printed('One server'));
    application.write('src/both.jsx', printed('Several servers'));
    application.write('src/several.jsx', "import { createRoot } from 'react-dom/client';\nimport { Both } from './both.jsx';\ncreateRoot(document.getElementById('root')).render(<Both />);");
    for (const [entry, count] of [['src/one.jsx', 1], ['src/several.jsx', 2]] as const) {
      const { page, complaints, close } = await openPage(application, entry);
      const nets = (): Promise<string[]> => page.locator('#root p').allTextContents();
      const first = await until(nets, (all) => all.length === count && all.every((net) => Number(net) !== 0 && !Number.isNaN(Number(net))));
      await until(nets, (all) => all.every((net, i) => net !== first[i]));
      expect(complaints).toEqual([]);
      await close();
    }
  });

  it.each(['Without React', 'Transports'])('run in Node: %s', async (heading) => {
    const lines = await output(application, printed(heading) + END);
    expect(Number(lines.find((line) => line.startsWith('net '))?.slice('net '.length))).not.toBeNaN();
  });

  it('are installed by the name that the tarball has', () => {
    expect(readFileSync(join(packed.folder, 'README.md'), 'utf8')).toContain(`npm install ./${basename(packed.tarball)} `);
  });
});

async function openPage(application: Application, entry: string, query: Record<string, string> = {}): Promise<Watched> {
  const { code } = await application.bundle(entry);
  const site = await serve(reactPage(code));
  const { page, complaints, close } = await open(browser);
  await page.goto(`${site.url}?${new URLSearchParams(query).toString()}`);
  return {
    page,
    complaints,
    close: async () => {
      await close();
      await site.close();
    },
  };
}

/** What a program in Node writes until it ends. */
async function output(application: Application, program: string, type: 'module' | 'commonjs' = 'module'): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [`--input-type=${type}`, '-e', program], { cwd: application.folder, timeout: 60_000 });
  return stdout.trim().split('\n');
}

/** The figures shown, until the net figure has been another one. */
async function watch(shown: () => Promise<string>): Promise<Figures[]> {
  const seen = new Map<number, Figures>();
  const look = async (): Promise<Figures[]> => {
    const figures = JSON.parse((await shown()) || '{"seq":0}') as Figures;
    if (figures.seq > 0) seen.set(figures.seq, figures);
    return [...seen.values()];
  };
  return until(look, (all) => all.length >= UPDATES && new Set(all.map(({ netPnL }) => netPnL)).size > 1);
}

/** They are what the server itself has under these numbers. */
async function expectFiguresOf(server: RunningServer, key: string, shown: readonly Figures[]): Promise<void> {
  const response = await fetch(`${server.url}/api/pnl/history?limit=1000`, { headers: { 'X-API-Key': key } });
  const { data } = (await response.json()) as { data: { data: Figures[] } };
  const held = new Map(data.data.map((row) => [row.seq, row]));
  expect(shown.length).toBeGreaterThan(0);
  for (const { epoch, seq, netPnL } of shown) expect({ epoch, seq, netPnL }).toEqual({ epoch: held.get(seq)?.epoch, seq, netPnL: held.get(seq)?.netPnL });
}
