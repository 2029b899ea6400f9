/** The last minutes as one line; a pause in the updates is a gap in it. */

import { useMemo, type ReactElement } from 'react';
import { usePnLHistory } from 'pnl-client';
import { recent, sparkPaths, typicalStep } from '../lib/chart';
import { duration } from '../lib/format';
import { useFormatter } from '../lib/preferences';

const SPAN_MS = 600_000;
const BOX = { width: 320, height: 80, pad: 4 };

export function Sparkline(): ReactElement {
  const history = usePnLHistory();
  const format = useFormatter();
  const points = useMemo(() => recent(history, SPAN_MS), [history]);
  const { lines, last, zero } = useMemo(() => sparkPaths(points, Math.max(typicalStep(points) * 3, 15_000), BOX), [points]);
  const first = points[0];
  const newest = points.at(-1);
  if (first === undefined || newest === undefined || last === null || points.length < 2) {
    return (
      <figure className="spark">
        <svg viewBox={`0 0 ${BOX.width} ${BOX.height}`} aria-hidden="true" />
        <figcaption>The last minutes will show here</figcaption>
      </figure>
    );
  }
  const low = Math.min(...points.map(({ y }) => y));
  const high = Math.max(...points.map(({ y }) => y));
  const span = duration(newest.x - first.x);
  return (
    <figure className="spark">
      <svg
        viewBox={`0 0 ${BOX.width} ${BOX.height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Net P&L over the last ${span}: between ${format.money(low)} and ${format.money(high)}`}
      >
        {zero !== null && <line x1="0" x2={BOX.width} y1={zero} y2={zero} />}
        {lines.map((line) => (
          <path key={line} d={line} />
        ))}
        <path className="spark-end" d={`M${last.x} ${last.y}h0.01`} />
      </svg>
      <figcaption>
        <span>Last {span}</span>
        <span>
          {format.money(low)} to {format.money(high)}
        </span>
      </figcaption>
    </figure>
  );
}
