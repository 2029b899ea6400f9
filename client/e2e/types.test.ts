/** The types in packages/pnl-client/src/types/wire.ts are what the server describes; `npm run types` writes them anew. */

import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { generate, type Description } from '../tools/types/generate.mjs';
import { startServer, type RunningServer } from './server';

const FILE = new URL('../packages/pnl-client/src/types/wire.ts', import.meta.url).pathname;
let server: RunningServer;

beforeAll(async () => void (server = await startServer()));
afterAll(() => server?.dispose());

it('the types are those of the descriptions', async () => {
  const read = async (path: string) => (await (await fetch(server.url + path)).json()) as Description;
  const made = await generate(await read('/openapi.json'), await read('/asyncapi.json'));
  if (process.env['WRITE_TYPES']) writeFileSync(FILE, made);
  expect(readFileSync(FILE, 'utf8')).toBe(made);
});
