/** The real server as a subprocess on a port of its own, and an upstream that can be broken on command. */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The checkout whose server is tested: this one, unless named. */
export const ROOT = process.env['PNL_ROOT'] ?? new URL('../..', import.meta.url).pathname;
const PYTHON = process.env['PNL_PYTHON'] ?? join(ROOT, '.venv/bin/python');
export const ADMIN_KEY = 'an-admin-key-that-only-these-tests-know';

export interface RunningServer {
  readonly url: string;
  /** The path of its ledger while it is a demo. */
  readonly ledger: string;
  /** Stops it where it is, its connections open, until `thaw`. */
  freeze: () => void;
  thaw: () => void;
  /** Ends the process at once, as a crash would; its files stay. */
  kill: () => Promise<void>;
  /** Lets it shut down; its files stay. */
  stop: () => Promise<void>;
  /** Starts it again on the same port with the same files. */
  start: () => Promise<void>;
  /** Ends it and removes its files. */
  dispose: () => Promise<void>;
}

/** Settings are added to a demo that updates every second, on an empty database. */
export async function startServer(settings: Record<string, string> = {}): Promise<RunningServer> {
  const port = await freePort();
  const files = mkdtempSync(join(tmpdir(), 'pnl-e2e-'));
  const url = `http://127.0.0.1:${port}`;
  const ledger = join(files, 'pnl-demo.db');
  let child: ChildProcess | null = null;

  async function start(): Promise<void> {
    const env = {
      PATH: process.env['PATH'],
      HOST: '127.0.0.1',
      PORT: String(port),
      DEMO: 'true',
      DB_PATH: join(files, 'pnl.db'),
      LOG_DIR: join(files, 'logs'),
      UPDATE_INTERVAL_MS: '1000',
      RATE_LIMIT_PER_MINUTE: '0',
      ADMIN_API_KEY: ADMIN_KEY,
      ...settings,
    };
    const started = spawn(PYTHON, [join(ROOT, 'server.py')], { cwd: files, env, stdio: ['ignore', 'pipe', 'pipe'] });
    child = started;
    let said = '';
    for (const stream of [started.stdout, started.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    while (!(await answers(url))) {
      if (started.exitCode !== null) throw new Error(`the server ended with ${started.exitCode}:\n${said}`);
      await new Promise((soon) => setTimeout(soon, 100));
    }
  }

  const kill = (): Promise<void> => end('SIGKILL');
  const stop = (): Promise<void> => end('SIGTERM');

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async function dispose(): Promise<void> {
    await kill();
    rmSync(files, { recursive: true, force: true });
  }

  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return { url, ledger, freeze: () => void child?.kill('SIGSTOP'), thaw: () => void child?.kill('SIGCONT'), start, kill, stop, dispose };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health/ready`)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface Upstream {
  readonly url: string;
  broken: boolean;
  figures: { invoiced: number; collected: number };
  close: () => Promise<void>;
}

/** Copies the newest snapshot of a ledger to the noons of `days` days before it, so that there is a past to look at. */
export async function addPast(ledger: string, days: number, businessTimezone: string): Promise<void> {
  const child = spawn(PYTHON, [new URL('past.py', import.meta.url).pathname, ledger, String(days), businessTimezone], { cwd: ROOT, env: { PYTHONPATH: ROOT } });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the past could not be written:\n${said}`);
}

export interface Upstreams {
  /** What a server needs to reach them. */
  readonly settings: Record<string, string>;
  /** One of them refuses every connection from now on. */
  kill: (upstream: 'kalshi' | 'anthropic' | 'johns') => Promise<void>;
  close: () => Promise<void>;
}

/** The simulator of all three upstreams, in a process of its own. */
export async function startUpstreams(): Promise<Upstreams> {
  const child = spawn(PYTHON, ['-u', '-m', 'pnl_backend.simulator', '--port-base', '0', '--seed', '1'], { cwd: ROOT });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  while (!/\/control\s/.test(said)) {
    if (child.exitCode !== null) throw new Error(`the simulator ended with ${child.exitCode}:\n${said}`);
    await new Promise((soon) => setTimeout(soon, 50));
  }
  const settings = Object.fromEntries([...said.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
  const control = /(http:\S+\/control)/.exec(said)?.[1] ?? '';
  return {
    settings: { DEMO: 'false', ...settings },
    kill: async (upstream) => {
      const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ upstream, action: 'kill' }) };
      const response = await fetch(control, init);
      if (!response.ok) throw new Error(`the simulator answered ${response.status}: ${await response.text()}`);
    },
    close: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** John's endpoint, as the older documents have it. */
export async function startRevenue(): Promise<Upstream> {
  const upstream = { broken: false, figures: { invoiced: 5_000, collected: 3_500 } };
  const server: Server = createServer((_request, response) => {
    response.writeHead(upstream.broken ? 500 : 200, { 'Content-Type': 'application/json' });
    response.end(upstream.broken ? '{}' : JSON.stringify(upstream.figures));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(upstream, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/revenue`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  });
}
