/**
 * Checks what was received or stored, and completes it to the shape that the page reads; null where it cannot be read. A
 * figure that is missing becomes NaN, which the page shows as a dash. Field names are checked against the wire's types.
 */

import type { AgentEntry, Breakdown, Components, CostEntry, DashboardMessage, Ledger, Snapshot, SourceState, Sources } from '../types/wire.js';

/** An object that should have the fields of `Shape`; nothing is known of their values. */
type Loose<Shape = Record<string, unknown>> = Readonly<Partial<Record<keyof Shape, unknown>>>;
type Fields<Shape> = readonly (keyof Shape & string)[];

const STATUSES: readonly unknown[] = ['live', 'stale', 'degraded'] satisfies SourceState['status'][];
const COMPONENT_FIELDS = {
  kalshi: ['balance', 'positions', 'pnl', 'realizedPnl', 'unrealizedPnl', 'fees'],
  anthropic: ['dailySpend', 'totalSpend'],
  johns: ['invoiced', 'collected'],
} as const satisfies { [Name in keyof Components]: Fields<Components[Name]> };
const COMPONENT_NAMES = Object.keys(COMPONENT_FIELDS) as (keyof typeof COMPONENT_FIELDS)[];
const SUMS = ['totalRevenue', 'totalExpenses', 'grossMargin', 'dailyTrend'] as const satisfies Fields<Snapshot>;
const BASELINE = ['previousRevenue', 'previousExpenses', 'previousNetPnL'] as const satisfies Fields<DashboardMessage>;
const LEDGER = ['timestamp', 'kalshiPnL', 'totalCosts', 'totalRevenue', 'netPnL', 'seq'] as const satisfies Fields<Ledger>;

/** A source whose state the server did not send. */
export const UNSTATED: SourceState = {
  status: 'degraded',
  tier: 'fallback',
  asOf: null,
  ageMs: null,
  error: 'The origin of this figure is unknown',
};

/** Needs a net figure and a time; the rest is completed. A complete snapshot is returned as it is. */
export function readSnapshot(value: unknown): Snapshot | null {
  const given = loose<Snapshot>(value);
  const at = timeOf(given);
  if (at === null || !isFigure(given.netPnL)) return null;
  if (isWhole(given)) return value as Snapshot;
  return {
    ...given,
    ...figures(given, SUMS),
    netPnL: given.netPnL,
    components: componentsOf(given.components),
    timestamp: new Date(at).toISOString(),
    calculatedAt: at,
    epoch: typeof given.epoch === 'string' ? given.epoch : '',
    seq: isFigure(given.seq) ? given.seq : at,
    degraded: list(given.degraded).filter((name) => typeof name === 'string'),
    sources: sourcesOf(given.sources),
  } satisfies Loose<Snapshot> as Snapshot;
}

/** Snapshots that can be read, in the order in which they were given. */
export function readSnapshots(value: unknown): Snapshot[] {
  return list(value).map(readSnapshot).filter((snapshot) => snapshot !== null);
}

/** Needs the three components; lists that are missing are empty. */
export function readBreakdown(value: unknown): Breakdown | null {
  const given = loose<Breakdown>(value);
  const named = COMPONENT_NAMES.every((name) => isObject(given[name]));
  if (!named) return null;
  return {
    ...given,
    ...componentsOf(given),
    costBreakdown: entries<CostEntry>(given.costBreakdown, 'name', ['value', 'percentage']),
    agentAttribution: entries<AgentEntry>(given.agentAttribution, 'agent', ['revenue', 'expenses', 'net']),
  } satisfies Loose<Breakdown> as Breakdown;
}

/** Stored components: those of a snapshot, or a breakdown with its lists. */
export function readComponents(value: unknown): Components | Breakdown {
  const given = loose<Breakdown>(value);
  return (Array.isArray(given.costBreakdown) ? readBreakdown(value) : null) ?? componentsOf(value);
}

export function isDashboardMessage(value: unknown): value is DashboardMessage {
  const given = loose<DashboardMessage>(value);
  return BASELINE.every((name) => isFigure(given[name]));
}

export function isLedger(value: unknown): value is Ledger {
  const given = loose<Ledger>(value);
  return LEDGER.every((name) => isFigure(given[name]));
}

function isWhole({ calculatedAt, timestamp, epoch, seq, degraded, components, sources, ...given }: Loose<Snapshot>): boolean {
  return (
    isFigure(calculatedAt) &&
    SUMS.every((name) => isFigure(given[name])) &&
    typeof timestamp === 'string' &&
    typeof epoch === 'string' &&
    isFigure(seq) &&
    Array.isArray(degraded) &&
    COMPONENT_NAMES.every((name) => COMPONENT_FIELDS[name].every((field) => isFigure(loose(loose(components)[name])[field]))) &&
    COMPONENT_NAMES.every((name) => isSource(loose(sources)[name]))
  );
}

function componentsOf(value: unknown): Components {
  const given = loose(value);
  const read = Object.entries(COMPONENT_FIELDS).map(([name, fields]) => [name, { ...loose(given[name]), ...figures(loose(given[name]), fields) }]);
  return { ...Object.fromEntries(read), ...further(given, isObject) } as Components;
}

function sourcesOf(value: unknown): Sources {
  const given = loose(value);
  const read = COMPONENT_NAMES.map((name) => [name, isSource(given[name]) ? given[name] : UNSTATED]);
  return { ...Object.fromEntries(read), ...further(given, isSource) } as Sources;
}

/** What the server sent of sources that this package does not know by name. */
function further(given: Loose, fits: (value: unknown) => boolean): Loose {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => !(name in COMPONENT_FIELDS) && fits(value)));
}

function isSource(value: unknown): value is SourceState {
  const { status, asOf, ageMs, notes } = loose<SourceState>(value);
  const dated = asOf === null || (typeof asOf === 'string' && !Number.isNaN(Date.parse(asOf)));
  return STATUSES.includes(status) && dated && (ageMs === null || isFigure(ageMs)) && (notes === undefined || Array.isArray(notes));
}

function entries<Entry>(value: unknown, name: keyof Entry & string, fields: Fields<Entry>): Entry[] {
  return list(value)
    .filter((entry) => typeof loose(entry)[name] === 'string')
    .map((entry) => ({ ...loose(entry), ...figures(loose(entry), fields) }) as Entry);
}

/** ms since the epoch, from either of the two fields that have it. */
function timeOf({ calculatedAt, timestamp }: Loose<Snapshot>): number | null {
  const at = isFigure(calculatedAt) ? calculatedAt : typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(new Date(at).getTime()) ? null : at;
}

function figures(given: Loose, fields: readonly string[]): Record<string, number> {
  return Object.fromEntries(fields.map((field) => [field, isFigure(given[field]) ? given[field] : Number.NaN]));
}

function isFigure(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isObject(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function loose<Shape = Record<string, unknown>>(value: unknown): Loose<Shape> {
  return (isObject(value) ? value : {}) as Loose<Shape>;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
