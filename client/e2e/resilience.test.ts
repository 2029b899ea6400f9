/** Old stores, odd messages, failing blocks, refused requests: the page goes on and says what is wrong. */

import type { Browser, Page, Request } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { axe, launch, open, picture, until, type Watched } from './browser';
import { live, state, text, word } from './page';
import { startServer, type RunningServer } from './server';

let browser: Browser;
let server: RunningServer;
let watched: Watched | null = null;

beforeAll(async () => {
  browser = await launch();
  server = await startServer();
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

async function blank(options: Parameters<typeof open>[1] = {}): Promise<Page> {
  watched = await open(browser, options);
  return watched.page;
}

const OLDER = {
  state: {
    pnl: { totalRevenue: 1_500, totalExpenses: 125.5, netPnL: 1_374.5, grossMargin: 91.63, dailyTrend: 5.25, timestamp: '2026-02-25T22:24:00.000Z' },
    components: { kalshi: { balance: 10_000, positions: 3, pnl: 500 }, anthropic: { dailySpend: 5.25 }, johns: { invoiced: 2_000, collected: 1_000 } },
    history: [{ netPnL: 1, timestamp: '2026-02-25T22:23:55.000Z' }, null],
    lastUpdate: '2026-02-25T22:24:00.000Z',
  },
  version: 0,
};

describe('what does not fit', () => {
  it('a store of an older form is shown as far as it goes, then replaced', async () => {
    const page = await blank({ cut: true });
    await page.addInitScript((kept) => localStorage.setItem('pnl-store', kept), JSON.stringify(OLDER));
    let blocked = true;
    await page.routeWebSocket(/socket\.io/, (socket) => (blocked ? void socket.close() : void socket.connectToServer()));
    await page.route(/\/api\//, (route) => (blocked ? route.abort() : route.continue()));
    await page.goto(server.url);
    await until(state(page), (now) => now === 'offline');
    expect(await text(page, 'net')()).toBe('$1,374.50');
    expect(await page.locator('.hero-asof').first().textContent()).toMatch(/^Last known, from Feb 25, 2026/);
    expect(await page.locator('[aria-labelledby=waterfall]').textContent()).toContain('—');
    expect(await page.getByTestId('failure').count()).toBe(0);
    blocked = false;
    await page.getByRole('button', { name: 'Try now' }).click();
    await live(page);
    await until(state(page), (now) => now === 'live');
  });

  it('a message without sources leaves the page whole, and nothing counts as live', async () => {
    const page = await blank();
    await page.routeWebSocket(/socket\.io/, (socket) => {
      const upstream = socket.connectToServer();
      upstream.onMessage((message) => {
        const given = String(message);
        if (!given.includes('"pnl_update"')) return socket.send(message);
        const at = given.indexOf('[');
        const [event, update, ...rest] = JSON.parse(given.slice(at)) as [string, { data: { sources?: object } }, ...unknown[]];
        delete update.data.sources;
        socket.send(given.slice(0, at) + JSON.stringify([event, update, ...rest]));
      });
    });
    await page.goto(server.url);
    await until(word(page), (now) => now === '0 of 3 live');
    await until(text(page, 'net'), (net) => net.length > 2);
    expect(await page.locator('[data-source=kalshi]').textContent()).toContain('origin of this figure is unknown');
    expect(await page.getByTestId('failure').count()).toBe(0);
  });

  it('a block that fails is named, the rest goes on, and a reset brings it back', async () => {
    const page = await blank();
    await page.goto(server.url);
    await live(page);
    await until(text(page, 'readout'), (readout) => readout.length > 0);
    await page.evaluate(() => {
      Intl.NumberFormat.prototype.formatToParts = () => {
        throw new Error('formatToParts is broken');
      };
    });
    await until(async () => page.getByTestId('failure').count(), (count) => count >= 3);
    watched?.complaints.splice(0); // React reports what a boundary caught.
    expect(await page.getByTestId('failure').first().textContent()).toContain('The net figure could not be shown');
    expect(await page.getByTestId('badge').isVisible()).toBe(true);
    expect(await page.getByRole('slider').isVisible()).toBe(true);
    expect(await page.locator('[aria-labelledby=agents]').isVisible()).toBe(true);
    await picture(page, 'failure');
    await page.setViewportSize({ width: 360, height: 640 });
    await picture(page, 'phone-failure', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    watched?.complaints.splice(0);
    await page.getByRole('button', { name: 'Reset the page' }).first().click();
    await live(page);
    await until(text(page, 'net'), (net) => net.length > 2);
    expect(await page.getByTestId('failure').count()).toBe(0);
  });
});

describe('the history', () => {
  const isRange = (request: Request): boolean => request.url().includes('resolution=');

  it('is asked for each range once on a first visit', async () => {
    const page = await blank();
    const asked: string[] = [];
    page.on('request', (request) => void (isRange(request) && asked.push(new URL(request.url()).searchParams.get('resolution') ?? '')));
    await page.goto(server.url);
    await live(page);
    await until(text(page, 'readout'), (readout) => readout.length > 0);
    const shown = await text(page, 'net')();
    await until(text(page, 'net'), (net) => net !== shown); // The session's own history has arrived, too.
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.length).toBeLessThanOrEqual(2); // A young ledger is asked once more, finer.
  });

  it('says that a request was refused, waits as long as the server asks, and shows the range then', async () => {
    const page = await blank({ cut: true });
    let asked = 0;
    let refuse = true;
    await page.route(/resolution=/, (route) => {
      asked += 1;
      const error = { message: 'Too many requests', code: 'rate_limited', id: 'x', retryAfter: 5 };
      return refuse ? route.fulfill({ status: 429, headers: { 'Retry-After': '5' }, json: { success: false, error, timestamp: '' } }) : route.continue();
    });
    await page.goto(server.url);
    await live(page);
    await until(text(page, 'trend-failure'), (words) => /^The range could not be fetched: Too many requests\..*Trying again in \d s\.$/.test(words));
    expect(await page.locator('.chart-foot').textContent()).not.toContain('connection');
    await picture(page, 'range-refused', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    await until(text(page, 'trend-failure'), (words) => words.endsWith('Trying again in 1 s.'));
    expect(asked).toBe(1);
    refuse = false;
    await until(async () => page.getByTestId('trend-failure').count(), (count) => count === 0);
    expect(asked).toBeGreaterThan(1);
    expect(await text(page, 'readout')()).not.toBe('');
  });
});

describe('choices and reach', () => {
  it('keeps the range over a reload and in the address', async () => {
    const page = await blank();
    await page.goto(server.url);
    await live(page);
    await page.getByRole('button', { name: 'Month', exact: true }).click();
    expect(page.url()).toContain('#/?range=month');
    const pressed = async (): Promise<string | null> => page.locator('[aria-label=Range] [aria-pressed=true]').textContent();
    await page.reload();
    expect(await pressed()).toBe('Month');
    await page.goto(`${server.url}/#/system`);
    await page.getByRole('link', { name: 'Overview', exact: true }).click();
    expect(await pressed()).toBe('Month');
    await page.goto(`${server.url}/#/?range=year`);
    expect(await pressed()).toBe('Year');
  });

  it('shows what is selected where colours are forced', async () => {
    const page = await blank({ forcedColors: 'active' });
    await page.goto(server.url);
    await live(page);
    await until(text(page, 'readout'), (readout) => readout.length > 0);
    const colours = (selector: string): Promise<string> =>
      page.locator(selector).first().evaluate((element) => {
        const { backgroundColor, color } = getComputedStyle(element);
        return `${backgroundColor} ${color}`;
      });
    expect(await colours('.segments [aria-pressed=true]')).not.toBe(await colours('.segments [aria-pressed=false]'));
    expect(await colours('.nav [aria-current=page]')).not.toBe(await colours('.nav a:not([aria-current])'));
    await picture(page, 'forced-colours', { fullPage: false });
  });

  it('has no target smaller than 24 px', async () => {
    const small = (page: Page): Promise<string[]> =>
      page.evaluate(() =>
        [...document.querySelectorAll('a[href], button, select, input, [role=slider]')]
          .map((element) => ({ element, box: (element.closest('label') ?? element).getBoundingClientRect() }))
          .filter(({ box }) => box.width > 0 && (box.width < 24 || box.height < 24))
          .map(({ element, box }) => `${element.outerHTML.slice(0, 80)} ${box.width}x${box.height}`),
      );
    for (const viewport of [{ width: 1280, height: 900 }, { width: 360, height: 640 }]) {
      await watched?.close();
      const page = await blank({ viewport });
      await page.goto(server.url);
      await live(page);
      await until(async () => page.locator('[data-source] .pill').count(), (count) => count === 3);
      expect(await small(page)).toEqual([]);
      await page.getByRole('button', { name: 'Settings' }).click();
      expect(await small(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await page.getByRole('link', { name: 'System' }).click();
      await page.locator('[data-breaker=kalshi]').waitFor();
      expect(await small(page)).toEqual([]);
    }
  });
});
