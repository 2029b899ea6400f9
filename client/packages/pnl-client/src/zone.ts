/** Time zones: the offset at an instant, and where a day begins, from Intl alone. */

const FIELDS = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const;
const DAY_MS = 86_400_000;

const clocks = new Map<string, Intl.DateTimeFormat>();

/** ms that `timeZone` is ahead of UTC at `instant`. */
export function offsetOf(instant: number, timeZone: string): number {
  const clock = clocks.get(timeZone) ?? new Intl.DateTimeFormat('en-US', { ...FIELDS, hourCycle: 'h23', timeZone });
  clocks.set(timeZone, clock);
  const parts = clock.formatToParts(instant);
  const field = (type: string): number => Number(parts.find((part) => part.type === type)?.value ?? 0);
  const local = Date.UTC(field('year'), field('month') - 1, field('day'), field('hour'), field('minute'), field('second'));
  return local - Math.floor(instant / 1_000) * 1_000;
}

/** The instant at which the day of `instant` began in `timeZone`; where midnight comes twice, the earlier. */
export function startOfDay(instant: number, timeZone: string): number {
  const local = instant + offsetOf(instant, timeZone);
  const midnight = Math.floor(local / DAY_MS) * DAY_MS;
  const guess = midnight - offsetOf(instant, timeZone);
  const begins = midnight - offsetOf(guess, timeZone); // The clocks may have changed since midnight.
  const before = offsetOf(begins - 1, timeZone);
  return begins - 1 + before >= midnight ? midnight - before : begins;
}

/** The date (YYYY-MM-DD) of `instant` in `timeZone`. */
export function dateIn(instant: number, timeZone: string): string {
  return new Date(instant + offsetOf(instant, timeZone)).toISOString().slice(0, 10);
}

export function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
