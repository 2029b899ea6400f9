/** The page must not reassure wrongly: what it shows when updates stop, sources die or the server is gone. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { axe, launch, open, picture, until, type Watched } from './browser';
import { live, state, text, transport, word } from './page';
import { startServer, startUpstreams, type RunningServer, type Upstreams } from './server';

const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
let browser: Browser;
let watched: Watched | null = null;

beforeAll(async () => void (browser = await launch()));
afterAll(() => browser?.close());

async function visit(server: RunningServer, options: Parameters<typeof open>[1] = {}): Promise<Page> {
  watched = await open(browser, options);
  await watched.page.goto(server.url);
  return watched.page;
}

afterEach(async () => {
  const { complaints = [] } = watched ?? {};
  await watched?.close();
  watched = null;
  expect(complaints).toEqual([]);
});

const isDim = (page: Page) => async (): Promise<boolean[]> => {
  const [net, kpis] = await Promise.all([page.getByTestId('net').getAttribute('class'), page.getByTestId('kpis').getAttribute('class')]);
  return [net, kpis].map((names) => names?.includes('is-stale') === true);
};

/** Both pages side by side, as a person at a desk and one with a phone see the same server. */
async function visitBoth(server: RunningServer, options: Parameters<typeof open>[1] = {}): Promise<{ desk: Page; phone: Page; closePhone: () => Promise<void> }> {
  const desk = await visit(server, options);
  const other = await open(browser, { ...PHONE, ...options });
  await other.page.goto(server.url);
  await Promise.all([live(desk), live(other.page)]);
  return { desk, phone: other.page, closePhone: other.close };
}

describe('a server that freezes with its connections open', () => {
  let server: RunningServer;
  beforeAll(async () => void (server = await startServer({ UPDATE_INTERVAL_MS: '1000' })));
  afterAll(() => server?.dispose());

  it('is not live: badge, net figure, key figures and title say so, and take it back', async () => {
    const { desk, phone, closePhone } = await visitBoth(server);
    await until(state(desk), (now) => now === 'live');
    expect(await word(desk)()).toBe('Live');
    expect(await isDim(desk)()).toEqual([false, false]);
    await until(state(phone), (now) => now === 'live');
    await picture(phone, 'phone-live', { fullPage: false });
    server.freeze();
    try {
      for (const page of [desk, phone]) {
        await until(state(page), (now) => now === 'stale');
        expect(await word(page)()).toBe('Stale');
        expect(await transport(page)()).toBe('websocket');
        expect(await isDim(page)()).toEqual([true, true]);
        expect(await text(page, 'why')()).toMatch(/^No update for \d+ s/);
        expect(await page.title()).toMatch(/^Stale · [−$]/);
        expect(await page.locator('.badge-age').isVisible()).toBe(true);
        expect(await page.locator('.badge-age').textContent()).toMatch(/^\d+ s ago$/);
        expect(await page.locator('link[rel=icon]').getAttribute('href')).toBe('/icon-offline.svg');
      }
      expect(await phone.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
      await picture(desk, 'stale', { fullPage: false });
      await picture(phone, 'phone-stale', { fullPage: false });
      expect(await axe(desk)).toEqual([]);
      expect(await axe(phone)).toEqual([]);
      await closePhone();
    } finally {
      server.thaw();
    }
    await until(state(desk), (now) => now === 'live');
    expect(await desk.title()).toMatch(/^[−$]/);
    expect(await isDim(desk)()).toEqual([false, false]);
  });
});

describe('sources that die', () => {
  let server: RunningServer;
  let upstreams: Upstreams;
  beforeAll(async () => {
    upstreams = await startUpstreams();
    const polls = { KALSHI_POLL_MS: '500', ANTHROPIC_POLL_MS: '500', JOHNS_POLL_MS: '500', CIRCUIT_BREAKER_FAILURE_THRESHOLD: '2', FETCH_TIMEOUT_MS: '1000' };
    server = await startServer({ ...upstreams.settings, ...polls });
  });
  afterAll(async () => {
    await server?.dispose();
    await upstreams?.close();
  });

  it('are counted in the badge; with none alive the figures are not those of now', async () => {
    const { desk, phone, closePhone } = await visitBoth(server);
    await until(word(desk), (now) => now === 'Live');
    await upstreams.kill('johns');
    await until(word(desk), (now) => now === '2 of 3 live');
    expect(await state(desk)()).toBe('partly');
    expect(await text(desk, 'why')()).toBe('Not live: John’s revenue.');
    expect(await isDim(desk)()).toEqual([false, false]);
    await picture(desk, 'partly', { fullPage: false });
    await picture(phone, 'phone-partly', { fullPage: false });
    await upstreams.kill('kalshi');
    await upstreams.kill('anthropic');
    for (const page of [desk, phone]) {
      await until(word(page), (now) => now === '0 of 3 live');
      expect(await state(page)()).toBe('none');
      expect(await isDim(page)()).toEqual([true, true]);
      expect(await page.title()).toMatch(/^0 of 3 live · /);
    }
    expect(await phone.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await picture(desk, 'no-source');
    await picture(phone, 'phone-no-source', { fullPage: false });
    expect(await axe(desk)).toEqual([]);
    await closePhone();
  });
});

describe('a server that is gone', () => {
  let server: RunningServer;
  beforeAll(async () => void (server = await startServer()));
  afterAll(() => server?.dispose());

  it('dims the figures and the title', async () => {
    const { desk, phone, closePhone } = await visitBoth(server, { cut: true });
    await until(state(desk), (now) => now === 'live');
    await until(state(phone), (now) => now === 'live');
    await server.kill();
    for (const page of [desk, phone]) {
      await until(state(page), (now) => now === 'offline');
      expect(await isDim(page)()).toEqual([true, true]);
      expect(await page.title()).toMatch(/^Offline · [−$]/);
      expect(await page.locator('.badge-age').isVisible()).toBe(true);
    }
    await picture(desk, 'gone', { fullPage: false });
    await picture(phone, 'phone-gone', { fullPage: false });
    expect(await axe(phone)).toEqual([]);
    await closePhone();
  });
});
