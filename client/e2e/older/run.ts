/** Runs one page in one network: collects what it shows and what its console says. */

import type { Browser, Page } from 'playwright-core';
import { open, until } from '../browser';
import type { Front, Network } from './front';

/** The longest wait that an older client has between two polls, ms. */
const POLL_MS = 30_000;

export interface PageRun {
  /** Each text that the page has shown, when it differs from the one before it. */
  readonly shown: string[];
  /** What the console says, other than Chromium's own words about refused connections, where some are refused. */
  readonly complaints: string[];
  /** Waits until something is so. */
  until: (isSo: () => boolean) => Promise<void>;
  /** Waits until the page has shown `count` more texts than now. */
  more: (count: number) => Promise<void>;
  close: () => Promise<void>;
}

/** What is read: the text that `selector` selects, or the lines of the console that begin with `prefix`. */
export type Watch = ({ readonly selector: string } | { readonly prefix: string }) & {
  /** What each text has to look like; its first group is the net figure. */
  readonly pattern: RegExp;
};

export interface RunOptions {
  browser: Browser;
  front: Front;
  name: string;
  network: Network;
  watch: Watch;
  /** For a page that polls: the number of the newest update that the server holds. */
  newest: (() => Promise<number>) | null;
}

export async function runPage({ browser, front, name, network, watch, newest }: RunOptions): Promise<PageRun> {
  const { page, complaints, close } = await open(browser, { cut: network !== 'open' });
  const shown: string[] = [];
  const record = (text: string): void => {
    if (text !== shown.at(-1)) shown.push(text);
  };
  if ('selector' in watch) await recordText(page, watch.selector, record);
  else page.on('console', (message) => message.text().startsWith(watch.prefix) && record(message.text()));
  if (newest !== null) await page.clock.install();
  await page.goto(front.address(name, network));

  /** Whoever polls every 30 s gets each update of the server without that wait: the page's clock is ahead of time. */
  async function skipAhead(): Promise<void> {
    if (newest === null) return;
    const seq = await newest();
    await page.clock.fastForward(POLL_MS);
    await until(newest, (now) => now > seq);
  }

  async function reach(isSo: () => boolean): Promise<void> {
    const look = async (): Promise<boolean> => {
      await skipAhead();
      return isSo();
    };
    await until(look, Boolean, 60_000);
  }

  return {
    shown,
    complaints,
    close,
    until: reach,
    more: async (count) => {
      const wanted = shown.length + count;
      await reach(() => shown.length >= wanted).catch((error: unknown) => {
        throw new Error(`${name} in the network "${network}" has shown ${shown.length} of ${wanted} texts: ${String(error)}; last ${shown.at(-1)}; console: ${complaints.join(' | ')}`);
      });
    },
  };
}

/** Calls `record` with the text of what `selector` selects, whenever the page changes; also after it loads itself again. */
async function recordText(page: Page, selector: string, record: (text: string) => void): Promise<void> {
  await page.exposeFunction('recordText', record);
  await page.addInitScript((selected) => {
    const { recordText } = window as unknown as { recordText: (text: string) => void };
    const look = (): void => {
      const text = document.querySelector(selected)?.textContent;
      if (text) recordText(text);
    };
    new MutationObserver(look).observe(document, { childList: true, characterData: true, subtree: true });
  }, selector);
}
