/** What every page has to show and to leave unsaid. */

import { expect } from 'vitest';
import type { Network } from './front';
import { UPDATES, UPDATES_AFTER_CRASH, type OlderPage, type Outcome } from './stage';

/** Of ten updates at least so many differ in their net figure. */
const MOVES = 3;

/** Figures move before the restart, after it and after a crash, each text is as it has to be, and the console holds only what the page says of a refusal. */
export function expectToMove({ watch, says }: OlderPage, network: Network, { shown, complaints, failure }: Outcome): void {
  expect(failure).toBeNull();
  expect(shown.flat().filter((text) => !watch.pattern.test(text))).toEqual([]);
  expect(shown.map((texts, i) => texts.length >= ([UPDATES, UPDATES, UPDATES_AFTER_CRASH][i] ?? 0))).toEqual([true, true, true]);
  for (const texts of shown.slice(0, 2)) expect(new Set(texts.map((text) => watch.pattern.exec(text)?.[1])).size).toBeGreaterThanOrEqual(MOVES);
  expect(complaints.filter((complaint) => network === 'open' || says?.test(complaint) !== true)).toEqual([]);
}
