/** Several tabs of one browser. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launch, open, until } from './browser';
import { live } from './page';
import { startServer, type RunningServer } from './server';

let browser: Browser;
let server: RunningServer;

beforeAll(async () => {
  browser = await launch();
  server = await startServer();
});
afterAll(async () => {
  await browser?.close();
  await server?.dispose();
});

it('several tabs ask for the state of the system as one, also when the one that asks is closed', async () => {
  const { page: first, complaints, close } = await open(browser);
  const pages = [first, await first.context().newPage(), await first.context().newPage()];
  const asked: Page[] = [];
  for (const page of pages) {
    page.on('request', (request) => void (request.url().endsWith('/api/cache/stats') && asked.push(page)));
    await page.goto(`${server.url}/#/system`);
    await live(page);
    await page.locator('[aria-labelledby=parts] tbody tr').first().waitFor();
  }
  expect(asked).toHaveLength(1);
  await until(async () => asked.length, (count) => count === 3, 40_000);
  expect(new Set(asked).size).toBe(1);
  const leader = asked[0] as Page;
  const others = pages.filter((page) => page !== leader);
  await leader.close();
  await until(async () => asked.length, (count) => count === 5, 40_000);
  expect(new Set(asked.slice(3)).size).toBe(1);
  expect(others).toContain(asked[4]);
  await close();
  expect(complaints).toEqual([]);
});
