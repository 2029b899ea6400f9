/** Clients of the older shapes in a real browser: figures move, charts keep their points, the console stays empty, over a restart. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { OWN_PAGES } from './older/ownPages';
import { setStage, title, UPDATES, type Outcome, type Stage } from './older/stage';

/** Of ten updates at least so many differ in their net figure. */
const MOVES = 3;
let stage: Stage;
let outcomes: Map<string, Outcome>;

beforeAll(async () => {
  stage = await setStage(OWN_PAGES);
  outcomes = await stage.play();
}, 240_000);
afterAll(() => stage?.close());

const RUNS = OWN_PAGES.flatMap((page) => page.networks.map((network) => ({ page, name: title(page.name, network) })));

it.each(RUNS)('$name', ({ page, name }) => {
  const { run, before, failure } = outcomes.get(name) as Outcome;
  expect(failure).toBeNull();
  expect(run.complaints).toEqual([]);
  expect(run.shown.filter((text) => !page.watch.pattern.test(text))).toEqual([]);
  for (const texts of [run.shown.slice(0, before), run.shown.slice(before)]) {
    expect(texts.length).toBeGreaterThanOrEqual(UPDATES);
    expect(new Set(texts.map((text) => page.watch.pattern.exec(text)?.[1])).size).toBeGreaterThanOrEqual(MOVES);
  }
});
