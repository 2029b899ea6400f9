/**
 * What came from elsewhere (the wire, the device) in the shape that the page reads, or null where it is none. A figure
 * that is missing becomes NaN, which the page shows as a dash.
 */

import type { AgentEntry, Breakdown, Components, CostEntry, DashboardMessage, Ledger, Snapshot, SourceState, Sources } from '../types/wire.js';

type Loose = Readonly<Record<string, unknown>>;

const STATUSES: readonly unknown[] = ['live', 'stale', 'degraded'] satisfies SourceState['status'][];
const COMPONENT_FIELDS = {
  kalshi: ['balance', 'positions', 'pnl', 'realizedPnl', 'unrealizedPnl', 'fees'],
  anthropic: ['dailySpend', 'totalSpend'],
  johns: ['invoiced', 'collected'],
} as const;
const SUMS = ['totalRevenue', 'totalExpenses', 'grossMargin', 'dailyTrend'] as const;

/** A source of which the server said nothing. */
export const UNSTATED: SourceState = {
  status: 'degraded',
  tier: 'fallback',
  asOf: null,
  ageMs: null,
  error: 'The server does not say where this figure comes from',
};

/** Needs a net figure and a time; the rest is completed. What is whole already is returned as it is. */
export function readSnapshot(value: unknown): Snapshot | null {
  const given = loose(value);
  const at = timeOf(given);
  if (at === null || !isFigure(given['netPnL'])) return null;
  if (isWhole(given)) return value as Snapshot;
  return {
    ...given,
    ...figures(given, SUMS),
    netPnL: given['netPnL'],
    components: componentsOf(given['components']),
    timestamp: new Date(at).toISOString(),
    calculatedAt: at,
    epoch: typeof given['epoch'] === 'string' ? given['epoch'] : '',
    seq: isFigure(given['seq']) ? given['seq'] : at,
    degraded: list(given['degraded']).filter((name) => typeof name === 'string'),
    sources: sourcesOf(given['sources']),
  } as Snapshot;
}

/** Snapshots that can be read, in the order in which they were given. */
export function readSnapshots(value: unknown): Snapshot[] {
  return list(value).map(readSnapshot).filter((snapshot) => snapshot !== null);
}

/** Needs the three components; lists that are missing are empty. */
export function readBreakdown(value: unknown): Breakdown | null {
  const given = loose(value);
  const named = Object.keys(COMPONENT_FIELDS).every((name) => isObject(given[name]));
  if (!named) return null;
  return {
    ...given,
    ...componentsOf(given),
    costBreakdown: entries<CostEntry>(given['costBreakdown'], 'name', ['value', 'percentage']),
    agentAttribution: entries<AgentEntry>(given['agentAttribution'], 'agent', ['revenue', 'expenses', 'net']),
  } as Breakdown;
}

/** Kept components: those of a snapshot, or a breakdown with its lists. */
export function readComponents(value: unknown): Components | Breakdown {
  const given = loose(value);
  return (Array.isArray(given['costBreakdown']) ? readBreakdown(value) : null) ?? componentsOf(value);
}

export function isDashboardMessage(value: unknown): value is DashboardMessage {
  const given = loose(value);
  return (['previousRevenue', 'previousExpenses', 'previousNetPnL'] as const).every((name) => isFigure(given[name]));
}

export function isLedger(value: unknown): value is Ledger {
  const given = loose(value);
  return (['timestamp', 'kalshiPnL', 'totalCosts', 'totalRevenue', 'netPnL', 'seq'] as const).every((name) => isFigure(given[name]));
}

function isWhole(given: Loose): boolean {
  const { components, sources } = given;
  return (
    isFigure(given['calculatedAt']) &&
    SUMS.every((name) => isFigure(given[name])) &&
    typeof given['timestamp'] === 'string' &&
    typeof given['epoch'] === 'string' &&
    isFigure(given['seq']) &&
    list(given['degraded']) === given['degraded'] &&
    Object.entries(COMPONENT_FIELDS).every(([name, fields]) => fields.every((field) => isFigure(loose(loose(components)[name])[field]))) &&
    Object.keys(COMPONENT_FIELDS).every((name) => isSource(loose(sources)[name]))
  );
}

function componentsOf(value: unknown): Components {
  const given = loose(value);
  const read = Object.entries(COMPONENT_FIELDS).map(([name, fields]) => [name, { ...loose(given[name]), ...figures(loose(given[name]), fields) }]);
  return { ...Object.fromEntries(read), ...further(given, isObject) } as Components;
}

function sourcesOf(value: unknown): Sources {
  const given = loose(value);
  const read = Object.keys(COMPONENT_FIELDS).map((name) => [name, isSource(given[name]) ? given[name] : UNSTATED]);
  return { ...Object.fromEntries(read), ...further(given, isSource) } as Sources;
}

/** What a newer server says of sources that are not known by name. */
function further(given: Loose, fits: (value: unknown) => boolean): Loose {
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => !(name in COMPONENT_FIELDS) && fits(value)));
}

function isSource(value: unknown): value is SourceState {
  const { status, asOf, ageMs, notes } = loose(value);
  const dated = asOf === null || (typeof asOf === 'string' && !Number.isNaN(Date.parse(asOf)));
  return STATUSES.includes(status) && dated && (ageMs === null || isFigure(ageMs)) && (notes === undefined || Array.isArray(notes));
}

function entries<Entry>(value: unknown, name: keyof Entry & string, fields: readonly (keyof Entry & string)[]): Entry[] {
  return list(value)
    .filter((entry) => typeof loose(entry)[name] === 'string')
    .map((entry) => ({ ...loose(entry), ...figures(loose(entry), fields) }) as Entry);
}

/** ms since the epoch, from either of the two fields that say it. */
function timeOf({ calculatedAt, timestamp }: Loose): number | null {
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

function loose(value: unknown): Loose {
  return isObject(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
