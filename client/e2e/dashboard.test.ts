/** The page in a real browser against the real server: what it shows, and what a person can do with it. */

import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { axe, launch, open, picture, until, type Watched } from './browser';
import { live, text } from './page';
import { ADMIN_KEY, startRevenue, startServer, type RunningServer, type Upstream } from './server';

let browser: Browser;
let watched: Watched | null = null;

beforeAll(async () => void (browser = await launch()));
afterAll(() => browser?.close());

/** Opens the page and waits for figures. */
async function visit(server: RunningServer, options: Parameters<typeof open>[1] = {}, hash = ''): Promise<Page> {
  watched = await open(browser, options);
  await watched.page.goto(`${server.url}/${hash}`);
  return watched.page;
}

afterEach(async () => {
  const { complaints = [] } = watched ?? {};
  await watched?.close();
  watched = null;
  expect(complaints).toEqual([]);
});

describe('a demo server', () => {
  let server: RunningServer;
  beforeAll(async () => void (server = await startServer()));
  afterAll(() => server?.dispose());

  it('shows figures that add up and move, live over a WebSocket', async () => {
    const page = await visit(server);
    await live(page);
    const first = await until(text(page, 'net'), (net) => /^[−$\d]/.test(net));
    await until(text(page, 'net'), (net) => net !== first);
    expect(await page.getByTestId('demo').textContent()).toContain('DEMO');
    expect(await page.locator('.kpis').textContent()).toMatch(/Revenue.*Expenses.*Margin.*Trend/);
    expect(await page.locator('[data-source] .pill').allTextContents()).toEqual(expect.arrayContaining([expect.stringMatching(/^Simulated/)]));
    await until(async () => page.locator('[aria-labelledby=costs] li').count(), (count) => count > 1);
    await until(async () => page.locator('[aria-labelledby=agents] tbody tr').count(), (count) => count === 4);
    await until(text(page, 'readout'), (words) => words.includes('Kalshi'));
    await picture(page, 'overview');
    await page.locator('[data-source=anthropic] .pill').focus();
    expect(await page.locator('[data-source=anthropic] [role=tooltip]').isVisible()).toBe(true);
    await picture(page, 'tooltip', { fullPage: false });
    expect(await axe(page)).toEqual([]);
  });

  it('can be installed', async () => {
    const page = await visit(server);
    await live(page);
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    const devtools = await page.context().newCDPSession(page);
    const { errors, data } = await devtools.send('Page.getAppManifest');
    expect(errors).toEqual([]);
    expect(JSON.parse(data ?? '{}')).toMatchObject({ start_url: '/', display: 'standalone' });
    const { installabilityErrors } = await devtools.send('Page.getInstallabilityErrors');
    // A test's browser context is private, where nothing can be installed; nothing else may stand in the way.
    expect(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito')).toEqual([]);
  });

  it('tints a change once, and not at all where motion is unwanted', async () => {
    for (const reducedMotion of ['no-preference', 'reduce'] as const) {
      watched = await open(browser, { reducedMotion });
      const { page } = watched;
      await page.addInitScript(() => {
        const animate = Element.prototype.animate;
        Object.assign(window, { tints: 0 });
        Element.prototype.animate = function (...given) {
          (window as unknown as { tints: number }).tints += 1;
          return animate.apply(this, given);
        };
      });
      await page.goto(server.url);
      await live(page);
      const first = await until(text(page, 'net'), (net) => net.length > 2);
      await until(text(page, 'net'), (net) => net !== first);
      const tints = await page.evaluate(() => (window as unknown as { tints: number }).tints);
      expect(tints > 0).toBe(reducedMotion === 'no-preference');
      expect(watched.complaints).toEqual([]);
      await watched.close();
      watched = null;
    }
  });

  it('keeps to its policy: nothing inline, nothing from elsewhere', async () => {
    const page = await visit(server);
    await live(page);
    const html = await (await fetch(server.url)).text();
    expect(html).not.toMatch(/<style|style=|<script(?![^>]*src=)/);
    const elsewhere = await page.evaluate((origin) => performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => !name.startsWith(origin)), server.url);
    expect(elsewhere).toEqual([]);
  });

  it('shows another range and exports what it shows', async () => {
    const page = await visit(server);
    await live(page);
    for (const [range, words] of [['Week', 'week'], ['Month', 'month'], ['Year', 'year'], ['Today', 'today']] as const) {
      await page.getByRole('button', { name: range, exact: true }).click();
      await until(async () => page.getByRole('slider').getAttribute('aria-label'), (label) => label === `Net P&L, ${words}`);
      await until(text(page, 'readout'), (readout) => readout.length > 0);
    }
    const chart = page.getByRole('slider');
    await chart.focus();
    await page.keyboard.press('Home');
    expect(await chart.getAttribute('aria-valuenow')).toBe('0');
    expect(await chart.getAttribute('aria-valuetext')).toMatch(/net [−$]/);
    await page.keyboard.press('ArrowRight');
    expect(await chart.getAttribute('aria-valuenow')).toBe('1');
    const when = await page.getByTestId('readout').locator('span').first().textContent();
    expect(await chart.getAttribute('aria-valuetext')).toMatch(new RegExp(`^${when}, net`));
    await picture(page, 'crosshair', {
      fullPage: false,
      prepare: async () => {
        await page.keyboard.press('Home');
        await page.keyboard.press('ArrowRight');
      },
    });
    await page.keyboard.press('Escape');
    const exported = async (format: string): Promise<string> => {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: format, exact: true }).click()]);
      expect(download.suggestedFilename()).toMatch(new RegExp(`^pnl-today-\\d{8}T\\d{6}Z\\.${format.toLowerCase()}$`));
      return readFileSync(await download.path(), 'utf8');
    };
    const csv = await exported('CSV');
    const json = await exported('JSON');
    expect(csv.split('\r\n')[0]).toBe('timestamp,netPnL,kalshiPnL,costs,revenue,open,high,low,close,count,degraded,estimated,complete,restated');
    expect(csv.split('\r\n').length).toBeGreaterThan(2);
    expect(JSON.parse(json)).toMatchObject({ range: 'today', businessTimezone: 'UTC', snapshot: { simulated: true }, rows: expect.arrayContaining([expect.objectContaining({ close: expect.any(Number) })]) });
  });

  it('reads as the person likes: theme, locale, time zone, kept over a reload', async () => {
    const page = await visit(server);
    await live(page);
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('button', { name: 'Dark' }).click();
    await page.getByLabel('Numbers and dates').selectOption('de-DE');
    await page.getByLabel('Time zone').selectOption('Asia/Tokyo');
    await picture(page, 'settings', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    await page.keyboard.press('Escape');
    expect(await page.getByRole('button', { name: 'Settings' }).evaluate((button) => button === document.activeElement)).toBe(true);
    await page.reload();
    await live(page);
    expect(await page.locator('html').getAttribute('data-theme')).toBe('dark');
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).backgroundColor)).toContain('rgb(13, 16, 21)');
    expect(await page.getByTestId('zone').textContent()).toContain('Asia/Tokyo');
    await until(text(page, 'net'), (net) => /\d,\d\d\s\$/.test(net));
  });

  it('fits a phone: the first question without scrolling, nothing wider than the screen', async () => {
    const page = await visit(server, { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    await live(page);
    await until(text(page, 'net'), (net) => net.length > 2);
    await until(text(page, 'readout'), (readout) => readout.length > 0);
    for (const name of ['net', 'change']) {
      const box = await page.getByTestId(name).boundingBox();
      expect((box?.y ?? 999) + (box?.height ?? 0)).toBeLessThan(640);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await picture(page, 'phone');
    await picture(page, 'phone-first-screen', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    await page.getByRole('link', { name: 'System' }).tap();
    await page.locator('[data-breaker=kalshi]').waitFor();
    await page.locator('[aria-labelledby=parts] tbody tr').first().waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await picture(page, 'phone-system');
    expect(await axe(page)).toEqual([]);
  });

  it('can be used from the keyboard alone, in a sensible order', async () => {
    const page = await visit(server);
    await live(page);
    await until(text(page, 'readout'), (readout) => readout.length > 0);
    const reached: string[] = [];
    for (let i = 0; i < 14; i += 1) {
      await page.keyboard.press('Tab');
      reached.push(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.slice(0, 9) ?? ''));
    }
    expect(reached.slice(0, 11)).toEqual(['P&L, overview', 'Overview', 'System', 'Settings', 'Today', 'Week', 'Month', 'Year', 'CSV', 'JSON', 'Net P&L, today']);
    expect(reached.slice(11)).toEqual([expect.stringMatching(/^Simulated/), expect.stringMatching(/^Simulated/), expect.stringMatching(/^Simulated/)]);
  });
});

describe('a server that wants a key', () => {
  const KEY = 'a-read-key-that-only-these-tests-know-1234';
  let server: RunningServer;
  beforeAll(async () => void (server = await startServer({ API_KEY: KEY })));
  afterAll(() => server?.dispose());

  it('asks for it, says when it is wrong, and keeps it where the person says', async () => {
    const page = await visit(server, { cut: true });
    const dialog = page.getByRole('dialog', { name: 'API key' });
    await dialog.waitFor();
    await picture(page, 'key', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    expect(await dialog.getByRole('alert').count()).toBe(0);
    await dialog.getByLabel('Key', { exact: true }).fill('wrong');
    await dialog.getByRole('button', { name: 'Use this key' }).click();
    await until(async () => dialog.getByRole('alert').count(), (count) => count === 1);
    expect(await dialog.getByRole('alert').textContent()).toContain('The server does not accept this key');
    await picture(page, 'key-wrong', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    await dialog.getByLabel('Key', { exact: true }).fill(KEY);
    await dialog.getByLabel('On this device').check();
    await dialog.getByRole('button', { name: 'Use this key' }).click();
    await live(page);
    await until(text(page, 'net'), (net) => net.length > 2);
    expect(await page.evaluate(() => [localStorage.getItem('pnl-api-key') !== null, sessionStorage.getItem('pnl-api-key')])).toEqual([true, null]);
    await page.reload();
    await live(page);
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('button', { name: 'Forget the key' }).click();
    await dialog.waitFor();
    expect(await page.evaluate(() => localStorage.getItem('pnl-api-key'))).toBeNull();
  });
});

describe('an upstream that breaks', () => {
  let server: RunningServer;
  let revenue: Upstream;
  beforeAll(async () => {
    revenue = await startRevenue();
    server = await startServer({
      DEMO: 'false',
      JOHNS_REVENUE_URL: revenue.url,
      JOHNS_POLL_MS: '1000',
      CIRCUIT_BREAKER_FAILURE_THRESHOLD: '2',
      CIRCUIT_BREAKER_RESET_TIMEOUT: '600000',
    });
  });
  afterAll(async () => {
    await server?.dispose();
    await revenue?.close();
  });

  const card = (page: Page) => page.locator('[data-source=johns]');
  const pill = (page: Page) => async (): Promise<string> => (await card(page).locator('.pill').textContent()) ?? '';

  it('is named on its card, opens its breaker, and is back after a reset from the page', async () => {
    const page = await visit(server);
    await live(page);
    await until(pill(page), (word) => word.startsWith('Live'));
    expect(await page.getByTestId('demo').count()).toBe(0);
    expect(await card(page).textContent()).toContain('$3,500.00');
    await until(async () => page.locator('[data-source=kalshi] .pill').textContent(), (word) => word?.startsWith('Degraded') === true);

    expect(await page.getByTestId('kpis').textContent()).toMatch(/Expenses—.*Margin—/); // Nobody who knows of costs has answered.
    revenue.broken = true;
    await until(pill(page), (word) => word.startsWith('Cached'));
    expect(await card(page).textContent()).toMatch(/John’s revenue has not answered for \d+ s; showing \d/);
    await until(async () => (await card(page).textContent()) ?? '', (words) => words.includes('breaker open'));
    await picture(page, 'upstream-broken');
    expect(await axe(page)).toEqual([]);

    await page.getByRole('link', { name: 'System' }).click();
    const row = page.locator('[data-breaker=johns_revenue]');
    await until(async () => (await row.textContent()) ?? '', (words) => words.includes('open'));
    await picture(page, 'system');
    expect(await axe(page)).toEqual([]);
    revenue.broken = false;
    await row.getByRole('button', { name: 'Reset' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Admin key').fill(ADMIN_KEY);
    await picture(page, 'reset', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    await dialog.getByRole('button', { name: 'Reset', exact: true }).click();
    await until(async () => (await row.textContent()) ?? '', (words) => words.includes('closed'));
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    await until(pill(page), (word) => word.startsWith('Live'));
  });

  it('is not reset with a wrong key, and the page says so', async () => {
    const page = await visit(server, { cut: true }, '#/system');
    await live(page);
    const row = page.locator('[data-breaker=johns_revenue]');
    await row.getByRole('button', { name: 'Reset' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Admin key').fill('wrong');
    await dialog.getByRole('button', { name: 'Reset', exact: true }).click();
    await until(async () => dialog.getByRole('alert').textContent(), (words) => /refused.*Nothing was reset/.test(words ?? ''));
  });
});
