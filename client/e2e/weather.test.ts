/** The page when the network or the server fails it: what it says meanwhile, and that it comes back by itself. */

import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { axe, launch, open, picture, until, type Watched } from './browser';
import { asOf, live, text, transport } from './page';
import { startServer, type RunningServer } from './server';

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

describe('a connection that is cut', () => {
  let server: RunningServer;
  beforeAll(async () => void (server = await startServer()));
  afterAll(() => server?.dispose());

  it('says when updates were lost on the way and cannot be had, and nothing when they can', async () => {
    watched = await open(browser);
    const { page } = watched;
    let lose = false;
    await page.routeWebSocket(/socket\.io/, (socket) => {
      const upstream = socket.connectToServer();
      upstream.onMessage((message) => void (lose && String(message).includes('"pnl_update"') ? undefined : socket.send(message)));
    });
    await page.goto(server.url);
    await live(page);
    const loseSome = async (): Promise<void> => {
      lose = true;
      const before = await sequence();
      await until(sequence, (seq) => seq >= before + 3);
      lose = false;
      const shown = await asOf(page)();
      await until(asOf(page), (time) => time !== shown);
    };
    const sequence = async (): Promise<number> => ((await (await fetch(`${server.url}/api/pnl/current`)).json()) as { data: { seq: number } }).data.seq;
    const held = async (): Promise<number[]> => {
      const kept = await page.evaluate(() => {
        window.dispatchEvent(new Event('pagehide'));
        return localStorage.getItem('pnl-store');
      });
      return (JSON.parse(kept ?? '{}') as { state: { history: { seq: number }[] } }).state.history.map(({ seq }) => seq);
    };
    const broken = (seqs: number[]): boolean => seqs.some((seq, i) => i > 0 && seq !== (seqs[i - 1] ?? 0) + 1);
    await loseSome();
    await until(held, (seqs) => seqs.length > 3 && !broken(seqs));
    expect(await page.getByTestId('gap').count()).toBe(0);

    await page.route(/history\?limit=/, async (route) => {
      const answer = (await (await route.fetch()).json()) as { data: { data: object[] } };
      answer.data.data = answer.data.data.slice(-1);
      await route.fulfill({ json: answer });
    });
    await loseSome();
    await until(text(page, 'gap'), (words) => /^Updates between .* could not be recovered/.test(words));
    await picture(page, 'gap', { fullPage: false });
    expect(await axe(page)).toEqual([]);
    await page.getByRole('button', { name: 'Dismiss' }).click();
    expect(await page.getByTestId('gap').count()).toBe(0);
  });

  it('passes on what the server complains of, until figures come again', async () => {
    watched = await open(browser);
    const { page } = watched;
    let hold = false;
    let complain = (): void => undefined;
    await page.routeWebSocket(/socket\.io/, (socket) => {
      const upstream = socket.connectToServer();
      upstream.onMessage((message) => void (hold ? undefined : socket.send(message)));
      complain = () => socket.send('42["stream_error",{"message":"Error updating P&L metrics","timestamp":"2026-02-25T22:24:00.000Z"}]');
    });
    await page.goto(server.url);
    await live(page);
    await until(text(page, 'net'), (net) => net.length > 2);
    hold = true;
    complain();
    await until(text(page, 'error'), (words) => words.startsWith('Error updating P&L metrics.'));
    await picture(page, 'error', { fullPage: false });
    hold = false;
    await until(async () => page.getByTestId('error').count(), (count) => count === 0);
  });

  it('steps down to the event stream, then to polling, and climbs back', async () => {
    const page = await visit(server, { cut: true });
    const blocked = { websocket: true, sse: false };
    await page.routeWebSocket(/socket\.io/, (socket) => (blocked.websocket ? void socket.close() : void socket.connectToServer()));
    await page.route(/\/api\/pnl\/stream/, (route) => (blocked.sse ? route.abort() : route.continue()));
    await page.reload();
    await until(transport(page), (name) => name === 'sse');
    const first = await asOf(page)();
    await until(asOf(page), (time) => time !== first && time !== null);
    await picture(page, 'event-stream', { fullPage: false });

    blocked.sse = true;
    await page.reload();
    await until(transport(page), (name) => name === 'polling');
    await until(text(page, 'net'), (net) => net.length > 2);
    await picture(page, 'polling', { fullPage: false });

    blocked.websocket = false;
    await until(transport(page), (name) => name === 'websocket', 40_000);
  });

  it('keeps the last figures, dated, when everything is blocked, and opens offline', async () => {
    const page = await visit(server, { cut: true });
    await live(page);
    await until(text(page, 'net'), (net) => net.length > 2);
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    await page.reload();
    await live(page);
    const before = await until(text(page, 'net'), (net) => net.length > 2);
    await page.context().setOffline(true);
    await page.reload();
    await until(transport(page), (name) => name === 'offline');
    expect(await text(page, 'net')()).toMatch(/^[−$\d]/);
    expect(before).toMatch(/^[−$\d]/);
    expect(await page.locator('.hero-asof').first().textContent()).toMatch(/^Last known, from .*\d{4}/);
    await until(text(page, 'offline'), (words) => /No connection to the server\. Showing .*trying/.test(words));
    await picture(page, 'offline');
    expect(await axe(page)).toEqual([]);
    await page.context().setOffline(false);
    await live(page);
  });
});

describe('a server that is killed', () => {
  let server: RunningServer;
  beforeAll(async () => void (server = await startServer()));
  afterAll(() => server?.dispose());

  it('is missed, said to be missed, and found again without a reload', async () => {
    const page = await visit(server, { cut: true });
    await live(page);
    await until(text(page, 'net'), (net) => net.length > 2);
    await page.evaluate(() => void Object.assign(window, { sameVisit: true }));
    await server.kill();
    await until(transport(page), (name) => name === 'offline');
    await until(text(page, 'offline'), (words) => /Showing .*; trying/.test(words));
    const last = await asOf(page)();
    await picture(page, 'server-gone');
    expect(await axe(page)).toEqual([]);
    await server.start();
    await page.getByRole('button', { name: 'Try now' }).click({ timeout: 2_000 }).catch(() => undefined); // It may be back already.
    await live(page);
    await until(asOf(page), (time) => time !== last);
    expect(await page.evaluate(() => 'sameVisit' in window)).toBe(true);
    expect(await page.getByTestId('offline').count()).toBe(0);
    expect(await page.getByTestId('gap').count()).toBe(0);
  });
});
