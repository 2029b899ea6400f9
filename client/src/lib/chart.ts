/** Chart mathematics: scales, gaps, ticks, paths and waterfall steps, with no DOM. */

import type { HistoryRow, Snapshot } from 'pnl-client';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Cuts points into runs wherever two neighbours are further apart than `maxStep`. */
export function runs(points: readonly Point[], maxStep: number): Point[][] {
  const cut: Point[][] = [];
  let previous: Point | undefined;
  for (const point of points) {
    if (previous === undefined || point.x - previous.x > maxStep) cut.push([]);
    cut.at(-1)?.push(point);
    previous = point;
  }
  return cut;
}

/** The middle one of the distances between neighbours; 0 for fewer than two. */
export function typicalStep(points: readonly Point[]): number {
  const steps = points.slice(1).map((point, i) => point.x - (points[i] as Point).x);
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}

export interface Box {
  readonly width: number;
  readonly height: number;
  readonly pad: number;
}

/** SVG path data for each run, scaled into the box; a flat series lies in the middle. */
export function sparkPaths(points: readonly Point[], maxStep: number, box: Box): { lines: string[]; last: Point | null; zero: number | null } {
  const [x0, x1] = extent(points.map(({ x }) => x));
  const [y0, y1] = extent(points.map(({ y }) => y));
  const inner = { width: box.width - 2 * box.pad, height: box.height - 2 * box.pad };
  const place = ({ x, y }: Point): Point => ({
    x: box.pad + (x1 === x0 ? inner.width : ((x - x0) / (x1 - x0)) * inner.width),
    y: box.pad + (y1 === y0 ? inner.height / 2 : ((y1 - y) / (y1 - y0)) * inner.height),
  });
  const lines = runs(points, maxStep)
    .filter((run) => run.length > 1)
    .map((run) => run.map(place).map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join(''));
  const last = points.at(-1);
  return { lines, last: last ? place(last) : null, zero: y0 < 0 && y1 > 0 ? place({ x: x0, y: 0 }).y : null };
}

/** Points of the last `ms` before the newest. */
export function recent(history: readonly Snapshot[], ms: number): Point[] {
  const newest = history.at(-1)?.calculatedAt ?? 0;
  return history.filter(({ calculatedAt }) => calculatedAt >= newest - ms).map(({ calculatedAt, netPnL }) => ({ x: calculatedAt, y: netPnL }));
}

/** Raw rows are not evenly spaced: a pause of this many usual steps is a gap, but never less than 15 s. */
const RAW_STEPS = 3;
const RAW_PAUSE_MS = 15_000;

/** uPlot's columns: seconds, values, with a null where a bucket is missing so that the line breaks there. */
export function columns(rows: readonly HistoryRow[], resolutionMs: number): [number[], (number | null)[]] {
  const xs: number[] = [];
  const ys: (number | null)[] = [];
  let previous: number | null = null;
  const raw = resolutionMs === 1;
  const usual = raw ? typicalStep(rows.map(({ timestamp }) => ({ x: timestamp, y: 0 }))) : resolutionMs;
  const allowed = raw ? Math.max(usual * RAW_STEPS, RAW_PAUSE_MS) : resolutionMs * 1.5;
  for (const { timestamp, close, netPnL } of rows) {
    if (previous !== null && timestamp - previous > allowed) {
      xs.push((previous + usual) / 1_000);
      ys.push(null);
    }
    xs.push(timestamp / 1_000);
    ys.push(close ?? netPnL);
    previous = timestamp;
  }
  return [xs, ys];
}

/** The index of an instant's row (s) among sorted rows, by binary search; of the one before it when there is none. */
export function rowIndex(rows: readonly HistoryRow[], seconds = Infinity): number {
  let [low, high] = [0, rows.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((rows[middle] as HistoryRow).timestamp <= seconds * 1_000) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The time axis (s): what there is, and at least `least` seconds of it, ending at the newest. */
export function timeRange(first: number | null, last: number | null, least: number): [number, number] {
  if (first === null || last === null || !Number.isFinite(last)) return [0, 1];
  return [Math.min(first, last - least), last];
}

/** A padded range that holds every value; a single value gets room around it, and zero is kept when near. */
export function paddedRange(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const spread = max - min || Math.max(Math.abs(max) * 0.02, 1);
  const low = min - spread * 0.12;
  const high = max + spread * 0.12;
  const nearZero = spread * 0.35;
  return [min >= 0 && min <= nearZero ? Math.min(0, min) : low, max <= 0 && -max <= nearZero ? Math.max(0, max) : high];
}

export type StepKind = 'gain' | 'loss' | 'total';

export interface Step {
  readonly label: string;
  readonly value: number;
  /** Where the bar begins and ends on the money axis. */
  readonly from: number;
  readonly to: number;
  readonly kind: StepKind;
}

/** Running bars: each change starts where the one before ended; a total starts at zero. What is not known (NaN) has no bar. */
export function waterfall(entries: readonly { label: string; value: number; total?: boolean }[]): Step[] {
  let level = 0;
  return entries.map(({ label, value, total = false }) => {
    const drawn = Number.isNaN(value) ? 0 : value;
    const from = total ? 0 : level;
    const to = total ? drawn : level + drawn;
    level = to;
    return { label, value, from, to, kind: total ? 'total' : value < 0 ? 'loss' : 'gain' };
  });
}

/** The money axis of a waterfall, zero included. */
export function waterfallDomain(steps: readonly Step[]): [number, number] {
  const [low, high] = extent([0, ...steps.flatMap(({ from, to }) => [from, to])]);
  return low === high ? [0, 1] : [low, high];
}

/** A bar's left edge and width in percent of the axis. */
export function bar({ from, to }: Pick<Step, 'from' | 'to'>, [low, high]: readonly [number, number]): { x: number; width: number } {
  const scale = 100 / (high - low);
  return { x: round((Math.min(from, to) - low) * scale), width: round(Math.abs(to - from) * scale) };
}

function extent(values: readonly number[]): [number, number] {
  return values.reduce<[number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
