/** Days are business days, wherever the reader is: in the chart, its words and its export. */

import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { launch, open, picture, until, type Watched } from './browser';
import { asOf, live, text } from './page';
import { addPast, startServer, type RunningServer } from './server';

const BUSINESS = 'Asia/Tokyo';
const PAST_DAYS = 120;
const DAY_MS = 86_400_000;
let server: RunningServer;
let browser: Browser;
let watched: Watched | null = null;

beforeAll(async () => {
  server = await startServer({ BUSINESS_TIMEZONE: BUSINESS });
  const stored = async (): Promise<number> => ((await (await fetch(`${server.url}/api/pnl/history?limit=1`)).json()) as { data: { count: number } }).data.count;
  await until(stored, (count) => count > 0);
  await server.kill();
  await addPast(server.ledger, PAST_DAYS, BUSINESS);
  await server.start();
  // Both ways to be elsewhere: the process, and what a page is told.
  browser = await launch({ TZ: 'America/Los_Angeles' });
});
afterAll(async () => {
  await browser?.close();
  await server?.dispose();
});
afterEach(async () => {
  const { complaints = [] } = watched ?? {};
  await watched?.close();
  watched = null;
  expect(complaints).toEqual([]);
});

const dateIn = (zone: string, at: number): string => new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' }).format(at);
const written = (at: number): string => new Intl.DateTimeFormat('en-US', { timeZone: BUSINESS, dateStyle: 'medium' }).format(at);

async function exported(page: Page): Promise<Record<string, string>[]> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV', exact: true }).click()]);
  const [head = '', ...lines] = readFileSync(await download.path(), 'utf8').trim().split('\r\n');
  const names = head.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((cell, i) => [names[i] ?? '', cell])));
}

it.each(['America/Los_Angeles', 'Asia/Tokyo', 'Pacific/Kiritimati'])('the year’s rows are business days for a reader in %s', async (timezoneId) => {
  watched = await open(browser, { timezoneId });
  const { page } = watched;
  await page.goto(server.url);
  await live(page);
  await page.getByRole('button', { name: 'Year', exact: true }).click();
  const chart = page.getByRole('slider');
  await until(async () => Number(await chart.getAttribute('aria-valuemax')), (last) => last > 100);
  expect(await text(page, 'zone')()).toMatch(/^Days in Asia\/Tokyo \(/);

  for (let updates = 0; updates < 2; updates += 1) {
    const shown = await asOf(page)();
    await until(asOf(page), (time) => time !== shown);
  }
  const rows = await exported(page);
  const dates = rows.map(({ date = '' }) => date);
  expect(new Set(dates).size).toBe(dates.length);
  expect(dates.at(-1)).toBe(dateIn(BUSINESS, Date.now()));
  const midnights = rows.map(({ timestamp = '' }) => Date.parse(timestamp));
  expect(midnights.every((at) => at % DAY_MS === 15 * 3_600_000)).toBe(true); // Tokyo's midnight.
  expect(rows.length).toBeGreaterThanOrEqual(PAST_DAYS);

  await chart.focus();
  await page.keyboard.press('Home');
  expect(await chart.getAttribute('aria-valuetext')).toContain(written(midnights[0] ?? 0));
  await page.keyboard.press('End');
  expect(await chart.getAttribute('aria-valuetext')).toContain(written(Date.now()));
  if (timezoneId === 'America/Los_Angeles') await picture(page, 'year-from-elsewhere', { fullPage: false });
});

it('today begins with the business day, and both zones are named', async () => {
  watched = await open(browser, { timezoneId: 'America/Los_Angeles' });
  const { page } = watched;
  const asked: URL[] = [];
  page.on('request', (request) => void (request.url().includes('resolution=') && asked.push(new URL(request.url()))));
  await page.goto(server.url);
  await live(page);
  await until(text(page, 'readout'), (words) => words.length > 0);
  expect(Number(asked[0]?.searchParams.get('from')) % DAY_MS).toBe(15 * 3_600_000);
  expect(await text(page, 'zone')()).toMatch(/^Times in America\/Los Angeles \(.*\)\. Days in Asia\/Tokyo \(GMT\+9\)$/);
});
