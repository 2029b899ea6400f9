/** A source that the page was never told of, brought by another package: it is shown as the server describes it. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { axe, launch, open, until } from './browser';
import { live } from './page';
import { ROOT, startServer, type RunningServer } from './server';

const packages = mkdtempSync(join(tmpdir(), 'pnl-packages-'));
let browser: Browser;
let server: RunningServer;

/** What an installed package leaves behind: its entry point, here of the source in one file that the server's tests have. */
function install(): void {
  const about = join(packages, 'hosting-1.0.dist-info');
  mkdirSync(about);
  writeFileSync(join(about, 'METADATA'), 'Metadata-Version: 2.1\nName: hosting\nVersion: 1.0\n');
  writeFileSync(join(about, 'entry_points.txt'), '[pnl_backend.sources]\nhosting = tests.sources.toy:SOURCE\n');
}

beforeAll(async () => {
  install();
  browser = await launch();
  server = await startServer({ PYTHONPATH: `${ROOT}:${packages}` });
});

afterAll(async () => {
  await server?.dispose();
  await browser?.close();
  rmSync(packages, { recursive: true, force: true });
});

it('has a card with its label and its figures, and its part in costs and waterfall', async () => {
  const { page, complaints, close } = await open(browser);
  await page.goto(server.url);
  await live(page);
  const card = page.locator('[data-source="hosting"]');
  await until(() => card.locator('h3').textContent(), (title) => title === 'Hosting');
  expect(await card.locator('.source-main').textContent()).toContain('1,234.56');
  expect(await card.locator('dt').allTextContents()).toEqual(['Credits', 'Running']);
  expect(await card.locator('dd').allTextContents()).toEqual(['$10.50', '3']);
  expect(await card.textContent()).toContain('breaker closed');
  const rows = await page.locator('section[aria-labelledby="waterfall"] tbody tr').allTextContents();
  expect(rows.filter((row) => row.startsWith('Further')).map((row) => row.replace(/[^\d.,]/g, ''))).toEqual(['10.50', '1,234.56']);
  expect(await page.locator('body').textContent()).toContain('Servers');
  expect(await axe(page)).toEqual([]);
  expect(complaints).toEqual([]);
  await close();
});
