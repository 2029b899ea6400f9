/** Numbers, money and times as the reader writes them: by locale and time zone, with a true minus sign, a dash for NaN. */

const MINUS = '\u2212';
/** The text for a figure or a time that is not known. */
export const UNKNOWN = '—';

export interface MoneyParts {
  /** Everything before the decimals: sign, symbol, whole dollars. */
  readonly whole: string;
  /** The separator and the cents. */
  readonly cents: string;
  /** What follows the number in locales that put the symbol there. */
  readonly after: string;
}

export interface Formatter {
  readonly locale: string;
  readonly timeZone: string;
  /** The zone as a reader names it now, such as GMT+1 or UTC. */
  readonly zoneName: string;
  money(value: number): string;
  moneyParts(value: number): MoneyParts;
  /** With a plus sign when above zero. */
  signedMoney(value: number): string;
  /** Short, for an axis: cents only where the ticks need them. */
  axisMoney(value: number, step: number): string;
  percent(value: number, digits?: number): string;
  signedPercent(value: number): string;
  integer(value: number): string;
  decimal(value: number, digits: number): string;
  time(instant: number): string;
  minute(instant: number): string;
  date(instant: number): string;
  dateTime(instant: number): string;
  /** A calendar mark for an axis: the day, the month or the year, by `unit`. */
  mark(instant: number, unit: 'minute' | 'day' | 'month' | 'year'): string;
}

export function createFormatter(locale: string | undefined, timeZone: string): Formatter {
  const usd = { style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol' } as const;
  const number = (options: Intl.NumberFormatOptions): Intl.NumberFormat => new Intl.NumberFormat(locale, options);
  const clock = (options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat => new Intl.DateTimeFormat(locale, { timeZone, ...options });
  const money = number(usd);
  const signedMoney = number({ ...usd, signDisplay: 'exceptZero' });
  const dollars = number({ ...usd, maximumFractionDigits: 0 });
  const compact = number({ ...usd, notation: 'compact', maximumFractionDigits: 2 });
  const integer = number({ maximumFractionDigits: 0 });
  const percents = [0, 1, 2].map((digits) => number({ style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const signedPercent = number({ style: 'percent', minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: 'exceptZero' });
  const time = clock({ hour: 'numeric', minute: '2-digit', second: '2-digit' });
  const minute = clock({ hour: 'numeric', minute: '2-digit' });
  const date = clock({ dateStyle: 'medium' });
  const dateTime = clock({ dateStyle: 'medium', timeStyle: 'medium' });
  const marks = { minute, day: clock({ day: 'numeric', month: 'short' }), month: clock({ month: 'short' }), year: clock({ year: 'numeric' }) };

  const figure = (value: number, write: (value: number) => string): string => (Number.isFinite(value) ? minus(write(value)) : UNKNOWN);
  const moment = (instant: number, write: Intl.DateTimeFormat): string => (Number.isFinite(instant) ? write.format(instant) : UNKNOWN);

  return {
    locale: money.resolvedOptions().locale,
    timeZone,
    zoneName: zoneName(locale, timeZone),
    money: (value) => figure(value, (known) => money.format(unsignedZero(known, 2))),
    signedMoney: (value) => figure(value, (known) => signedMoney.format(unsignedZero(known, 2))),
    moneyParts: (value) =>
      Number.isFinite(value) ? splitCents(money.formatToParts(unsignedZero(value, 2))) : { whole: UNKNOWN, cents: '', after: '' },
    axisMoney: (value, step) =>
      minus((Number.isInteger(step) ? (Math.abs(value) >= 10_000 ? compact : dollars) : money).format(unsignedZero(value, 2))),
    percent: (value, digits = 2) => figure(value, (known) => (percents[digits] ?? signedPercent).format(unsignedZero(known, digits) / 100)),
    signedPercent: (value) => figure(value, (known) => signedPercent.format(unsignedZero(known, 2) / 100)),
    integer: (value) => figure(value, (known) => integer.format(known)),
    decimal: (value, digits) => figure(value, (known) => number({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(known)),
    time: (instant) => moment(instant, time),
    minute: (instant) => moment(instant, minute),
    date: (instant) => moment(instant, date),
    dateTime: (instant) => moment(instant, dateTime),
    mark: (instant, unit) => marks[unit].format(instant),
  };
}

/** An age or a wait, in the one unit that matters: "4 s", "3 min", "2 h", "5 days". */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  if (hours < 36) return `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

/** Which way a figure points, in a sign that is not colour; nothing for no change. */
export function arrow(value: number): '▲' | '▼' | '' {
  if (value > 0) return '▲';
  return value < 0 ? '▼' : '';
}

function minus(text: string): string {
  return text.replace('-', MINUS);
}

/** What rounds to zero is zero, not minus zero. */
function unsignedZero(value: number, digits: number): number {
  return Math.abs(value) < 0.5 / 10 ** digits ? 0 : value;
}

function splitCents(parts: readonly Intl.NumberFormatPart[]): MoneyParts {
  const decimal = parts.findIndex(({ type }) => type === 'decimal');
  const text = (slice: readonly Intl.NumberFormatPart[]): string => minus(slice.map(({ value }) => value).join(''));
  return { whole: text(parts.slice(0, decimal)), cents: text(parts.slice(decimal, decimal + 2)), after: text(parts.slice(decimal + 2)) };
}

function zoneName(locale: string | undefined, timeZone: string): string {
  const parts = new Intl.DateTimeFormat(locale, { timeZone, timeZoneName: 'short' }).formatToParts(Date.now());
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? timeZone;
}
