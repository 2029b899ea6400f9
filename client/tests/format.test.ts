import { describe, expect, it } from 'vitest';
import { arrow, createFormatter, duration } from '../src/lib/format';
import { T0 } from '../packages/pnl-client/tests/fixtures';

const us = createFormatter('en-US', 'UTC');
const de = createFormatter('de-DE', 'Europe/Berlin');
const plain = (text: string): string => text.replace(/\s/g, ' ');

describe('money', () => {
  it('has cents, a true minus and no minus zero', () => {
    expect(us.money(1_234.5)).toBe('$1,234.50');
    expect(us.money(-1_234.5)).toBe('\u2212$1,234.50');
    expect(us.money(-0.004)).toBe('$0.00');
    expect(us.signedMoney(-0.004)).toBe('$0.00');
    expect(us.signedMoney(57.2)).toBe('+$57.20');
    expect(plain(de.money(-1_234.5))).toBe('\u22121.234,50 $');
  });

  it('is a dash where it is not known', () => {
    expect([us.money(Number.NaN), us.signedMoney(Number.NaN), us.percent(Number.NaN), us.integer(Number.NaN), us.time(Number.NaN)]).toEqual(Array(5).fill('—'));
    expect(us.moneyParts(Number.NaN)).toEqual({ whole: '—', cents: '', after: '' });
  });

  it('comes apart at the cents wherever the symbol stands', () => {
    expect(us.moneyParts(-9.5)).toEqual({ whole: '\u2212$9', cents: '.50', after: '' });
    const parts = de.moneyParts(1_234.5);
    expect([parts.whole, parts.cents, plain(parts.after)]).toEqual(['1.234', ',50', ' $']);
  });

  it('is short on an axis, with cents only where the step needs them', () => {
    expect([us.axisMoney(1_500, 500), us.axisMoney(13_250, 250), us.axisMoney(0.25, 0.25), us.axisMoney(-2_000, 500)]).toEqual([
      '$1,500',
      '$13.25K',
      '$0.25',
      '\u2212$2,000',
    ]);
  });
});

describe('percent', () => {
  it('carries its sign', () => {
    expect([us.signedPercent(5.25), us.signedPercent(-5.25), us.signedPercent(0), us.percent(62.8, 1)]).toEqual([
      '+5.25%',
      '\u22125.25%',
      '0.00%',
      '62.8%',
    ]);
    expect([arrow(1), arrow(-1), arrow(0)]).toEqual(['▲', '▼', '']);
  });
});

describe('time', () => {
  it('is told in the chosen zone and named', () => {
    expect([plain(us.time(T0)), us.zoneName]).toEqual(['10:24:00 PM', 'UTC']);
    expect(de.time(T0)).toBe('23:24:00');
    expect(plain(createFormatter('en-US', 'America/New_York').dateTime(T0))).toBe('Feb 25, 2026, 5:24:00 PM');
  });

  it('is told as an age in the one unit that matters', () => {
    expect([0, 40_000, 89_000, 90_000, 3_600_000, 2 * 3_600_000, 36 * 3_600_000].map(duration)).toEqual([
      '0 s',
      '40 s',
      '89 s',
      '2 min',
      '60 min',
      '2 h',
      '2 days',
    ]);
  });
});
