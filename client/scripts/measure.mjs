/**
 * Measures the page of a running server: `node scripts/measure.mjs URL [KEY]` prints JSON.
 *
 * firstNumberMs: from navigation to the net figure, for a first visit and for one with a warm cache and kept figures.
 * updateMs: the CPU time of the page's main thread (script, style, layout, paint, and the canvas without a GPU) divided
 * by the updates that came meanwhile, with 10,000 points in the chart; clocks and polling are in it, so it is an upper
 * bound.
 */

import { chromium } from 'playwright-core';

const [url, key] = process.argv.slice(2);
const POINTS = 10_000;
const TRACED_MS = 15_000;
const VISITS = 5;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

async function visitor() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  await context.addInitScript((given) => {
    if (given) localStorage.setItem('pnl-api-key', given);
    new MutationObserver((_changes, observer) => {
      if (!document.querySelector('[data-testid=net]')) return;
      window.firstNumberMs = performance.now();
      observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
  }, key);
  return context;
}

async function firstNumber(page) {
  await page.goto(url);
  await page.waitForFunction(() => window.firstNumberMs !== undefined);
  return page.evaluate(() => window.firstNumberMs);
}

const median = (values) => Math.round([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] * 10) / 10;

async function firstNumbers() {
  const [first, again] = [[], []];
  for (let visit = 0; visit < VISITS; visit += 1) {
    const context = await visitor();
    const page = await context.newPage();
    first.push(await firstNumber(page));
    again.push(await firstNumber(page));
    await context.close();
  }
  return { firstVisit: median(first), again: median(again) };
}

function rows() {
  const now = Date.now();
  return Array.from({ length: POINTS }, (_, i) => {
    const netPnL = Math.round((4_000 + 200 * Math.sin(i / 300) + 20 * Math.sin(i / 7)) * 100) / 100;
    const flat = { open: netPnL, high: netPnL, low: netPnL, close: netPnL };
    return { timestamp: now - (POINTS - i) * 60_000, netPnL, kalshiPnL: 0, costs: 0, revenue: netPnL, ...flat, count: 12 };
  });
}

async function updates() {
  const context = await visitor();
  const page = await context.newPage();
  const data = rows();
  await page.route(/api\/pnl\/history\?from=/, (route) =>
    route.fulfill({ json: { success: true, data: { count: data.length, data, timestamp: '' }, timestamp: '' } }),
  );
  await firstNumber(page);
  await page.waitForSelector('[data-testid=readout] strong');
  await new Promise((settled) => setTimeout(settled, 2_000));
  const devtools = await context.newCDPSession(page);
  const events = [];
  devtools.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  const complete = new Promise((resolve) => devtools.once('Tracing.tracingComplete', resolve));
  await devtools.send('Tracing.start', { categories: 'toplevel,blink,devtools.timeline', transferMode: 'ReportEvents' });
  const began = await sequence();
  await new Promise((passed) => setTimeout(passed, TRACED_MS));
  const counted = (await sequence()) - began;
  await devtools.send('Tracing.end');
  await complete;
  await context.close();
  return { points: POINTS, updates: counted, updateMs: Math.round((mainThreadMs(events) / counted) * 100) / 100 };
}

async function sequence() {
  const response = await fetch(`${url}/api/pnl/current`, { headers: key ? { 'X-API-Key': key } : {} });
  return (await response.json()).data.seq;
}

/** CPU time (ms) of everything that the page's main thread did; nested events are in those around them. */
function mainThreadMs(events) {
  const { pid, tid } = events.find(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
  const mine = events.filter((event) => event.ph === 'X' && event.pid === pid && event.tid === tid).sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  let [sum, end] = [0, 0];
  for (const { ts, dur = 0, tdur = 0 } of mine) {
    if (ts < end) continue;
    sum += tdur;
    end = ts + dur;
  }
  return sum / 1_000;
}

const result = { firstNumberMs: await firstNumbers(), ...(await updates()) };
await browser.close();
console.log(JSON.stringify(result, null, 2));
