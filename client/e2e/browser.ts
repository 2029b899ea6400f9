/** Chromium, pages that remember what their console said, axe, and screenshots. */

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

const SCREENSHOTS = new URL('../screenshots/', import.meta.url).pathname;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What Chromium itself writes when a test cuts the network; a page cannot prevent it. */
const CUT = /^(Failed to load resource: (net::ERR_|the server responded)|WebSocket connection to |Connecting to |An unknown error occurred when fetching the script)/;

/** `env`: variables of the browser's process, beside this one's; `flags`: beside those of every test. */
export async function launch(env: Record<string, string> = {}, flags: readonly string[] = []): Promise<Browser> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  return chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: [...FLAGS, ...flags], env: { ...process.env, ...env } });
}

export interface Watched {
  page: Page;
  /** Errors and warnings of the console and uncaught exceptions. */
  complaints: string[];
  close: () => Promise<void>;
}

/** `cut`: this test breaks the network on purpose, so Chromium's own words about that do not count. */
export async function open(browser: Browser, options: BrowserContextOptions & { cut?: boolean } = {}): Promise<Watched> {
  const { cut = false, ...rest } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-US', timezoneId: 'Europe/Berlin', ...rest });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type()) || (cut && CUT.test(message.text()))) return;
    complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  return { page, complaints, close: () => context.close() };
}

export interface Violation {
  id: string;
  help: string;
  nodes: { html: string; failureSummary: string }[];
}

/** What axe finds wrong with the page as it stands, in light and in dark. */
export async function axe(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await still(page);
    found.push(...(await violations(page)));
  }
  await page.emulateMedia({ colorScheme: null });
  return found;
}

/** Transitions are over, so colours are what they will be. */
async function still(page: Page): Promise<void> {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished)));
}

async function violations(page: Page): Promise<string[]> {
  const all = await page.evaluate(async () => {
    const { axe: found } = window as unknown as { axe: { run: () => Promise<{ violations: Violation[] }> } };
    return (await found.run()).violations;
  });
  return all.map(({ id, help, nodes }) => `${id}: ${help}\n${nodes.map(({ html, failureSummary }) => `  ${html}\n  ${failureSummary}`).join('\n')}`);
}

/** The page as it stands, in light and in dark. */
export async function picture(page: Page, name: string, { fullPage = true, prepare = async () => {} }: { fullPage?: boolean; prepare?: () => Promise<void> } = {}): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await prepare();
    await still(page);
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}.png`), fullPage });
  }
  await page.emulateMedia({ colorScheme: null });
}

/** Resolves once `read` gives something that `isRight` accepts; fails with the last thing read. */
export async function until<Value>(read: () => Promise<Value>, isRight: (value: Value) => boolean, withinMs = 30_000): Promise<Value> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await read();
    if (isRight(value)) return value;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(value)?.slice(0, 300)}`);
    await new Promise((soon) => setTimeout(soon, 50));
  }
}
