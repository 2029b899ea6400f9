/** A uPlot chart: one line over time with a zero line, a crosshair for pointer and keys, and ticks in the user's format. */

import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactElement } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { paddedRange, timeRange } from '../lib/chart';
import type { Formatter } from '../lib/format';
import { useColourScheme } from '../lib/useColourScheme';

export type ChartData = [number[], (number | null)[]];

interface TimeChartProps {
  label: string;
  data: ChartData;
  /** The least that the time axis spans (s). */
  least: number;
  format: Formatter;
  /** The text for the point under the crosshair. */
  describe: (index: number) => string;
  /** The index under the crosshair, null when it is gone. */
  onPoint: (index: number | null) => void;
}

const DAY_S = 86_400;
const LINE_PX = 1.75;
/** From here on the line is one device pixel wide: it reads better, and is drawn several times faster. */
const DENSE_POINTS = 4_000;

export function TimeChart({ label, data, least, format, describe, onPoint }: TimeChartProps): ReactElement {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const scheme = useColourScheme();
  const dense = data[0].length > DENSE_POINTS;
  const newest = useRef({ data, onPoint });
  newest.current = { data, onPoint };

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const point = (index: number | null): void => {
      setAt(index);
      newest.current.onPoint(index);
    };
    const made = new uPlot(options(element, { format, least, dense, onPoint: point }), newest.current.data, element);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      point(null);
      chart.current = null;
    };
  }, [format, scheme, least, dense]);

  useEffect(() => {
    if (chart.current !== null && chart.current.data !== data) chart.current.setData(data);
  }, [data]);

  const last = data[0].length - 1;
  const shown = Math.min(at ?? last, last);

  function onKeyDown(event: KeyboardEvent): void {
    const made = chart.current;
    const page = Math.max(1, Math.round(last / 10));
    const moves: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageDown: -page, PageUp: page, Home: -last, End: last };
    const move = moves[event.key];
    if (made === null || last < 0 || (move === undefined && event.key !== 'Escape')) return;
    event.preventDefault();
    if (move === undefined) {
      made.setCursor({ left: -10, top: -10 });
      return;
    }
    let index = Math.min(last, Math.max(0, shown + move));
    while (data[1][index] === null && index > 0 && index < last) index += Math.sign(move);
    made.setCursor({ left: made.valToPos(data[0][index] ?? 0, 'x'), top: made.valToPos(data[1][index] ?? 0, 'y') });
  }

  return (
    <div
      ref={box}
      className={last < 0 ? 'chart-box is-empty' : 'chart-box'}
      role="slider"
      tabIndex={last >= 0 ? 0 : -1}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={Math.max(last, 0)}
      aria-valuenow={Math.max(shown, 0)}
      aria-valuetext={last >= 0 ? describe(shown) : 'No figures'}
      aria-disabled={last < 0}
      onKeyDown={onKeyDown}
    />
  );
}

function options(element: HTMLElement, { format, least, dense, onPoint }: Pick<TimeChartProps, 'format' | 'least' | 'onPoint'> & { dense: boolean }): uPlot.Options {
  const style = getComputedStyle(element);
  const token = (name: string): string => style.getPropertyValue(name).trim();
  const font = `12px ${style.fontFamily}`;
  const axis = { stroke: token('--text-soft'), font, ticks: { show: false }, grid: { stroke: token('--line'), width: 1 } };
  const line = token('--accent-fill');
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), format.timeZone),
    cursor: { points: { size: 8, width: 2, fill: token('--surface'), stroke: line }, drag: { x: false, y: false } },
    scales: {
      x: { time: true, range: ({ data: [xs] }) => timeRange(xs[0] ?? null, xs.at(-1) ?? null, least) },
      y: { range: (_chart, low, high) => paddedRange(low, high) },
    },
    axes: [
      { ...axis, space: 84, size: 30, gap: 8, grid: { show: false }, values: (_chart, splits, _i, _space, step) => splits.map((at) => mark(at, step, format)) },
      {
        ...axis,
        size: (_chart, labels) => 14 + 7.2 * Math.max(4, ...(labels ?? []).map((text) => text.length)),
        values: (_chart, splits, _i, _space, step) => splits.map((at) => format.axisMoney(at, step)),
      },
    ],
    series: [
      {},
      {
        stroke: line,
        width: dense ? 1 / devicePixelRatio : LINE_PX,
        fill: (chart) => fade(chart, line),
        spanGaps: false,
        points: { show: (chart) => chart.data[0].length <= 2, size: 7, fill: line },
      },
    ],
    hooks: {
      drawAxes: [(chart) => drawZero(chart, token('--line-strong'))],
      setCursor: [(chart) => onPoint(chart.cursor.idx == null || (chart.cursor.left ?? -1) < 0 ? null : chart.cursor.idx)],
    },
  };
}

function mark(seconds: number, step: number, format: Formatter): string {
  const at = seconds * 1_000;
  if (step < 60) return format.time(at);
  if (step < DAY_S) return format.mark(at, 'minute');
  return format.mark(at, step < 28 * DAY_S ? 'day' : step < 365 * DAY_S ? 'month' : 'year');
}

function fade(chart: uPlot, colour: string): CanvasGradient | string {
  const { top, height } = chart.bbox;
  if (!Number.isFinite(height) || height <= 0) return 'transparent';
  const gradient = chart.ctx.createLinearGradient(0, top, 0, top + height);
  gradient.addColorStop(0, `${colour}2e`);
  gradient.addColorStop(1, `${colour}00`);
  return gradient;
}

function drawZero(chart: uPlot, colour: string): void {
  const { min, max } = chart.scales['y'] ?? {};
  if (min == null || max == null || min > 0 || max < 0) return;
  const y = Math.round(chart.valToPos(0, 'y', true)) + 0.5;
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}
