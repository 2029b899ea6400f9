import { describe, expect, it } from 'vitest';
import { dateIn, offsetOf, startOfDay } from '../src/zone.js';
import { T0 } from './fixtures.js';

describe('zones', () => {
  it('know their offset on both sides of a change', () => {
    expect(offsetOf(Date.UTC(2026, 0, 1), 'America/New_York')).toBe(-5 * 3_600_000);
    expect(offsetOf(Date.UTC(2026, 6, 1), 'America/New_York')).toBe(-4 * 3_600_000);
    expect(offsetOf(Date.UTC(2026, 0, 1), 'Asia/Kolkata')).toBe(5.5 * 3_600_000);
  });

  it('begin their day at midnight, also on the day the clocks change', () => {
    expect(startOfDay(Date.UTC(2026, 1, 25, 3), 'America/New_York')).toBe(Date.UTC(2026, 1, 24, 5));
    expect(startOfDay(Date.UTC(2026, 2, 8, 20), 'America/New_York')).toBe(Date.UTC(2026, 2, 8, 5)); // Forward at 2:00.
    expect(startOfDay(Date.UTC(2026, 10, 1, 20), 'America/New_York')).toBe(Date.UTC(2026, 10, 1, 4)); // Back at 2:00.
    expect(startOfDay(T0, 'UTC')).toBe(Date.UTC(2026, 1, 25));
  });

  it('begin a day where midnight is skipped with its first instant, where it comes twice with the earlier', () => {
    expect(startOfDay(Date.UTC(2025, 3, 25, 12), 'Africa/Cairo')).toBe(Date.UTC(2025, 3, 24, 22));
    expect(startOfDay(Date.UTC(2025, 10, 2, 20), 'America/Havana')).toBe(Date.UTC(2025, 10, 2, 4));
  });

  it('know the date of an instant', () => {
    expect(dateIn(Date.UTC(2026, 1, 24, 15), 'Asia/Tokyo')).toBe('2026-02-25');
    expect(dateIn(Date.UTC(2026, 1, 25, 7, 59), 'America/Los_Angeles')).toBe('2026-02-24');
  });
});
