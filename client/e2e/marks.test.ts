/** How far figures can be trusted, on the page: a ledger's first day, what is derived twice, and restated history. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { axe, launch, open, until } from './browser';
import { live } from './page';
import { ROOT, startServer, type RunningServer } from './server';

const RESTATE = `
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
ledger.execute("INSERT INTO restatements (at, source, reason, to_seq) SELECT max(at), 'kalshi', 'a market was missing', max(seq) FROM snapshots")
ledger.commit()
`;
let browser: Browser;
let server: RunningServer;

beforeAll(async () => {
  browser = await launch();
  server = await startServer();
});

afterAll(async () => {
  await server?.dispose();
  await browser?.close();
});

it('says on a first day since when it compares, and whether figures that are derived twice agree', async () => {
  const { page, complaints, close } = await open(browser);
  await page.goto(server.url);
  await live(page);
  await until(() => page.locator('[data-testid="change"] small').textContent(), (words) => /^since .*\d/.test(words ?? ''));
  const verified = page.locator('[data-source="kalshi"] [data-testid="verified"]');
  await until(() => verified.textContent(), (word) => /^(Verified|Differs by|Not verifiable yet)/.test(word ?? ''));
  expect(await page.locator('[data-testid="restated"]').count()).toBe(0);
  expect(await axe(page)).toEqual([]);
  expect(complaints).toEqual([]);
  await close();
});

it('marks history that was found wrong later', async () => {
  await server.stop();
  execFileSync(process.env['PNL_PYTHON'] ?? join(ROOT, '.venv/bin/python'), ['-c', RESTATE, server.ledger]);
  await server.start();
  const { page, complaints, close } = await open(browser);
  await page.goto(server.url);
  await live(page);
  await until(() => page.locator('[data-testid="restated"]').textContent(), (words) => (words ?? '').includes('shown as they were published'));
  expect(await axe(page)).toEqual([]);
  expect(complaints).toEqual([]);
  await close();
});
