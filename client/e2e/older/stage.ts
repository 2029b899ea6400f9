/** One server, its front and a browser, and pages side by side: ten updates, a restart of the server, ten more, a crash, and some more. */

import type { Browser } from 'playwright-core';
import { launch, until } from '../browser';
import { addPast, startServer, type RunningServer } from '../server';
import { bundle, type Program } from './bundle';
import { resolverRule, startFront, type Front, type Network, type Site } from './front';
import { runPage, type PageRun, type Watch } from './run';

export const UPDATES = 10;
export const UPDATES_AFTER_CRASH = 3;
/** What the dashboard's charts show; the ledger of the stage has a past of as many days. */
export const CHART_DAYS = 30;

export interface OlderPage {
  readonly name: string;
  readonly program: Program;
  readonly style?: string;
  /** Those in which it shows figures. */
  readonly networks: readonly Network[];
  /** In the network "polling" it asks every 30 s; its clock is put forward there. */
  readonly polls?: boolean;
  readonly watch: Watch;
  /** What it prints itself, by console.error, when a connection is refused. */
  readonly says?: RegExp;
}

export interface Outcome {
  /** What it had shown before the restart, from there to the crash, and after it. */
  readonly shown: readonly (readonly string[])[];
  /** What its console said before the crash. */
  readonly complaints: readonly string[];
  /** Why it did not show enough. */
  readonly failure: unknown;
}

export interface Stage {
  readonly browser: Browser;
  readonly front: Front;
  /** Runs every page in every of its networks at once; the outcomes by their names. */
  play: (pages: readonly OlderPage[]) => Promise<Map<string, Outcome>>;
  open: (page: OlderPage, network: Network) => Promise<PageRun>;
  close: () => Promise<void>;
}

export const runsOf = (pages: readonly OlderPage[]): { page: OlderPage; network: Network; name: string }[] =>
  pages.flatMap((page) => page.networks.map((network) => ({ page, network, name: `${page.name} (${network})` })));

export async function setStage(pages: readonly OlderPage[]): Promise<Stage> {
  const sites = new Map<string, Site>();
  for (const { name, program, style = '' } of pages) sites.set(name, { script: await bundle(program), style });
  const server = await serverWithPast();
  const front = await startFront(server.url, sites);
  const browser = await launch({}, [resolverRule(front.port)]);
  const open = ({ name, watch, polls = false }: OlderPage, network: Network): Promise<PageRun> =>
    runPage({ browser, front, name, network, watch, newest: network === 'polling' && polls ? () => newestSeq(server) : null });

  async function play(played: readonly OlderPage[]): Promise<Map<string, Outcome>> {
    const entries = runsOf(played);
    const runs = await Promise.all(entries.map(({ page, network }) => open(page, network)));
    const first = await passage(runs, UPDATES);
    await front.holdUntil(server.stop().then(server.start));
    const second = await passage(runs, UPDATES);
    const complaints = runs.map((run) => [...run.complaints]);
    await crash();
    const third = await passage(runs, UPDATES_AFTER_CRASH);
    await Promise.all(runs.map((run) => run.close()));
    return new Map(
      entries.map(({ name }, i) => {
        const passages = [first, second, third].flatMap((all) => all[i] ?? []);
        return [name, { shown: passages.map(({ shown }) => shown), complaints: complaints[i] ?? [], failure: passages.find(({ failure }) => failure !== null)?.failure ?? null }];
      }),
    );
  }

  /** The server ends at once, and is back when some page has found it gone. */
  async function crash(): Promise<void> {
    const before = front.refusals();
    await server.kill();
    await until(async () => front.refusals(), (count) => count > before);
    await server.start();
  }

  return {
    browser,
    front,
    play,
    open,
    close: async () => {
      await browser.close();
      await front.close();
      await server.dispose();
    },
  };
}

/** A demo whose figures move every second, in a ledger that is as old as the charts are long. */
async function serverWithPast(): Promise<RunningServer> {
  const server = await startServer({ KALSHI_POLL_MS: '1000' });
  await until(() => newestSeq(server), (seq) => seq > 0);
  await server.stop();
  await addPast(server.ledger, CHART_DAYS - 1, 'UTC');
  await server.start();
  return server;
}

async function newestSeq(server: RunningServer): Promise<number> {
  const response = await fetch(`${server.url}/api/pnl/current`);
  return ((await response.json()) as { data: { seq: number } }).data.seq;
}

/** Lets each page show `count` more texts. */
const passage = (runs: readonly PageRun[], count: number): Promise<{ shown: string[]; failure: unknown }[]> =>
  Promise.all(
    runs.map(async (run) => {
      const from = run.shown.length;
      const failure = await run.more(count).then(() => null, (error: unknown) => error);
      return { shown: run.shown.slice(from), failure };
    }),
  );
