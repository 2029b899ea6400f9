/** Time zones: the offset at an instant, and where a day begins, from Intl alone. */

const FIELDS = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' } as const;

/** ms that `timeZone` is ahead of UTC at `instant`. */
export function offsetOf(instant: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', { ...FIELDS, hourCycle: 'h23', timeZone }).formatToParts(instant);
  const field = (type: string): number => Number(parts.find((part) => part.type === type)?.value ?? 0);
  const local = Date.UTC(field('year'), field('month') - 1, field('day'), field('hour'), field('minute'), field('second'));
  return local - Math.floor(instant / 1_000) * 1_000;
}

/** The instant at which the day of `instant` began in `timeZone`. */
export function startOfDay(instant: number, timeZone: string): number {
  const local = instant + offsetOf(instant, timeZone);
  const midnight = Math.floor(local / 86_400_000) * 86_400_000;
  const guess = midnight - offsetOf(instant, timeZone);
  return midnight - offsetOf(guess, timeZone); // The clocks may have changed since midnight.
}

/** Every zone this browser knows, UTC first. */
export function timeZones(): string[] {
  const all = typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
  return ['UTC', ...all.filter((zone) => zone !== 'UTC')];
}

export function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
