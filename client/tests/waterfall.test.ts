import { expect, it } from 'vitest';
import { INITIAL } from '../packages/pnl-client/src/store/state';
import { snapshot } from '../packages/pnl-client/tests/fixtures';
import { stepsOf } from '../src/components/Waterfall';

const values = (pnl: Parameters<typeof stepsOf>[0]): number[] => stepsOf(pnl).map(({ value }) => value);

it('every step is unknown before the first figures', () => {
  expect(values(INITIAL.pnl)).toEqual(Array(7).fill(Number.NaN));
});

it('the steps of a source that has not answered are unknown', () => {
  const [realized, open, collected, revenue, fees, anthropic] = values(snapshot(1, { degraded: ['kalshi'] }));
  expect([realized, open, fees]).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  expect([collected, revenue, anthropic]).toEqual([625.5, 1_126.5, -105.25]);
});

it('a sum is unknown while neither of the sources that make it has answered', () => {
  expect(values(snapshot(1, { degraded: ['kalshi', 'johns'] }))[3]).toBeNaN();
});
