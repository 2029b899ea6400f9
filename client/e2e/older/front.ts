/** What stands between the pages and the server: serves the pages, passes the rest on, and blocks what a network blocks. */

import { once } from 'node:events';
import { createServer, request as send, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

/** `open`: nothing is blocked. `sse`: no WebSocket passes. `polling`: no event stream either. */
export type Network = 'open' | 'sse' | 'polling';

export interface Site {
  readonly script: string;
  readonly style?: string;
}

export interface Front {
  readonly port: number;
  /** Where a page is, as the browser of these tests resolves it. */
  address: (name: string, network: Network) => string;
  /** Lets new requests wait until `ready` is over, as a socket that outlives its server does. */
  holdUntil: (ready: Promise<unknown>) => Promise<void>;
  /** How many connections the server has refused, for it was not there. */
  refusals: () => number;
  close: () => Promise<void>;
}

/** The port that the older documents print for the server; every port of `localhost` leads here. */
const PRINTED_PORT = 8080;

/** What Chromium has to be started with, so that the addresses which the older clients have in them lead to the front. */
export const resolverRule = (port: number): string => `--host-resolver-rules=MAP localhost 127.0.0.1:${port}, MAP *.localhost 127.0.0.1:${port}`;

export async function startFront(server: string, sites: ReadonlyMap<string, Site>): Promise<Front> {
  const behind = new URL(server);
  const sockets = new Set<Duplex>();
  let ready: Promise<unknown> = Promise.resolve();
  let refusals = 0;
  const onFailure = ({ code }: NodeJS.ErrnoException): void => {
    if (code === 'ECONNREFUSED') refusals += 1;
  };

  async function onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    if (serve(sites, path, response)) return;
    if (networkOf(request) === 'polling' && path.startsWith('/api/pnl/stream')) {
      response.writeHead(403).end();
      return;
    }
    await ready;
    pass(behind, request, response, onFailure);
  }

  async function onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    if (networkOf(request) !== 'open') {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    await ready;
    tunnel(behind, request, socket, head, onFailure);
  }

  const front: Server = createServer((request, response) => void onRequest(request, response));
  front.on('upgrade', (request, socket, head) => void onUpgrade(request, socket, head));
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  return {
    port: (front.address() as AddressInfo).port,
    address: (name, network) => `http://${network}.localhost:${PRINTED_PORT}/pages/${name}/`,
    holdUntil: async (over) => {
      ready = over;
      await over;
    },
    refusals: () => refusals,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      front.closeAllConnections();
      front.close();
      await once(front, 'close');
    },
  };
}

/** A page says by its own address which network it is in: its host, or the Origin of what it sends elsewhere. */
function networkOf({ headers }: IncomingMessage): Network {
  const page = headers.origin ?? `http://${headers.host ?? ''}`;
  return (/^http:\/\/(\w+)\.localhost/.exec(page)?.[1] ?? 'open') as Network;
}

function serve(sites: ReadonlyMap<string, Site>, path: string, response: ServerResponse): boolean {
  const [, name = '', file = ''] = /^\/pages\/([^/]+)\/([^/?]*)/.exec(path) ?? [];
  const site = sites.get(name);
  if (site === undefined) return false;
  const html = '<!doctype html><meta charset="utf-8"><title>P&amp;L</title><link rel="icon" href="data:,"><link rel="stylesheet" href="page.css"><div id="root"></div><script src="page.js"></script>';
  const files: Record<string, [type: string, body: string]> = { '': ['html', html], 'page.js': ['javascript', site.script], 'page.css': ['css', site.style ?? ''] };
  const [type, body] = files[file] ?? [];
  response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': `text/${type ?? 'plain'}; charset=utf-8` }).end(body);
  return true;
}

function pass({ hostname, port }: URL, request: IncomingMessage, response: ServerResponse, onFailure: (error: Error) => void): void {
  const { method, url: path, headers } = request;
  const passed = send({ hostname, port, method, path, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  passed.on('error', (error) => {
    onFailure(error);
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  });
  response.on('close', () => passed.destroy());
  request.pipe(passed);
}

function tunnel({ hostname, port }: URL, { method, url, rawHeaders }: IncomingMessage, socket: Duplex, head: Buffer, onFailure: (error: Error) => void): void {
  const passed = connect(Number(port), hostname, () => {
    const headers = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${rawHeaders[i + 1] ?? ''}\r\n`] : []));
    passed.write(`${method} ${url} HTTP/1.1\r\n${headers.join('')}\r\n`);
    passed.write(head);
    passed.pipe(socket).pipe(passed);
  });
  passed.on('error', onFailure).on('error', () => socket.destroy()).on('close', () => socket.end());
  socket.on('close', () => passed.destroy());
}
