/** The client samples that the older documents print, run from the documents themselves; skipped where those are not at hand. */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './browser';
import { bundle } from './older/bundle';
import { DOCUMENTS_ARE_HERE, printed, REPAIRS } from './older/documents';
import { expectToMove } from './older/expectations';
import type { Network } from './older/front';
import { DASHBOARD_REPAIRS, dashboardPage, hooksPage, importsOfHooks, samplePages } from './older/samplePages';
import { runsOf, setStage, type Outcome, type Stage } from './older/stage';

const PAGE_ABOUT_THEM = new URL('../../docs/clients/older.md', import.meta.url);

it('every line that needs a repair stands on the page about the older clients, with what to write instead', () => {
  const page = readFileSync(PAGE_ABOUT_THEM, 'utf8');
  for (const { line, instead } of Object.values(REPAIRS)) {
    expect(page).toContain(line.trim());
    for (const one of instead.split('\n')) expect(page).toContain(one.trim());
  }
});

describe.skipIf(!DOCUMENTS_ARE_HERE)('the samples', () => {
  const pages = DOCUMENTS_ARE_HERE ? samplePages() : [];
  const without = (repairs: readonly unknown[]): typeof DASHBOARD_REPAIRS => DASHBOARD_REPAIRS.filter((repair) => !repairs.includes(repair));
  const unmended = DOCUMENTS_ARE_HERE
    ? [
        { page: dashboardPage('dashboard-net', without([REPAIRS.netFigure])), network: 'open', complaint: 'L is not defined' },
        { page: dashboardPage('dashboard-events', without([REPAIRS.streamCall, REPAIRS.streamFunction])), network: 'sse', complaint: 'setPnl is not defined' },
        { page: dashboardPage('dashboard-polling', without([REPAIRS.pollingCall, REPAIRS.pollingFunction])), network: 'polling', complaint: 'setPnl is not defined' },
        { page: hooksPage('readme-hooks-as-printed', []), network: 'open', complaint: 'useEffect is not defined' },
      ] as const
    : [];
  let stage: Stage;
  let outcomes: Map<string, Outcome>;

  beforeAll(async () => {
    stage = await setStage([...pages, ...unmended.map(({ page }) => page)]);
    outcomes = await stage.play(pages);
  }, 240_000);
  afterAll(() => stage?.close());

  it.each(runsOf(pages))('$name', ({ page, network, name }) => expectToMove(page, network, outcomes.get(name) as Outcome));

  it.each([printed.bind(null, 'architecture', '5.2 Client-Side (React)'), printed.bind(null, 'deployment', '3.3 Update `src/App.js`')])('is no JavaScript as printed (%#)', async (read) => {
    await expect(bundle({ entry: read() })).rejects.toThrow(/Expected .* but found "&"/);
  });

  it.each(unmended.map((one) => ({ ...one, name: one.page.name })))('$name fails without its repair', async ({ page, network, complaint }) => {
    const run = await stage.open(page, network);
    try {
      await run.until(() => run.complaints.some((text) => text === `uncaught: ${complaint}`));
    } finally {
      await run.close();
    }
  });

  it.each<Network>(['sse', 'polling'])('the guide’s App shows nothing in the network "%s", for it has nothing but its WebSocket', async (network) => {
    const page = pages.find(({ name }) => name === 'guide-app');
    if (page === undefined) throw new Error('no such page');
    const run = await stage.open(page, network);
    try {
      await until(async () => run.complaints.length, (count) => count >= 2); // It loads itself again.
      expect(run.complaints.filter((text) => page.says?.test(text) !== true)).toEqual([]);
      expect(run.shown).toEqual([]);
    } finally {
      await run.close();
    }
  });

  it('find every hook that they import in this project’s store', async () => {
    await expect(bundle(importsOfHooks())).resolves.toBeTypeOf('string'); // An import that finds nothing is an error.
  });
});
