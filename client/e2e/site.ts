/** A static host on a port of its own: files by their paths, each with its type. */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StaticSite {
  /** With a slash at its end. */
  readonly url: string;
  close: () => Promise<void>;
}

/** The page of a React application whose program is `script`. */
export const reactPage = (script: string): Record<string, [type: string, body: string]> => ({
  '/': ['text/html', '<!doctype html><title>P&amp;L</title><link rel="icon" href="data:,"><div id="root"></div><script src="/page.js"></script>'],
  '/page.js': ['text/javascript', script],
});

/** The query of an address does not count. */
export async function serve(files: Record<string, [type: string, body: string]>): Promise<StaticSite> {
  const host: Server = createServer((request, response) => {
    const [type, body] = files[(request.url ?? '/').replace(/\?.*/, '')] ?? [];
    response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': `${type ?? 'text/plain'}; charset=utf-8` }).end(body);
  }).listen(0, '127.0.0.1');
  await once(host, 'listening');
  return {
    url: `http://127.0.0.1:${(host.address() as AddressInfo).port}/`,
    close: async () => {
      host.closeAllConnections();
      host.close();
      await once(host, 'close');
    },
  };
}
