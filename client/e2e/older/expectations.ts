/** What every page has to show and to leave unsaid. */

import { expect } from 'vitest';
import type { Network } from './front';
import { UPDATES, type OlderPage, type Outcome } from './stage';

/** Of ten updates at least so many differ in their net figure. */
const MOVES = 3;

/** Figures move before the restart and after it, each text is as it has to be, and the console holds only what the page says of a refusal. */
export function expectToMove({ watch, says }: OlderPage, network: Network, { run, before, failure }: Outcome): void {
  expect(failure).toBeNull();
  expect(run.shown.filter((text) => !watch.pattern.test(text))).toEqual([]);
  for (const texts of [run.shown.slice(0, before), run.shown.slice(before)]) {
    expect(texts.length).toBeGreaterThanOrEqual(UPDATES);
    expect(new Set(texts.map((text) => watch.pattern.exec(text)?.[1])).size).toBeGreaterThanOrEqual(MOVES);
  }
  expect(run.complaints.filter((complaint) => network === 'open' || says?.test(complaint) !== true)).toEqual([]);
}
