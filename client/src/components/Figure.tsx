/** A sum of money with small cents; when it changes it is tinted once, briefly, unless motion is unwanted. */

import { useEffect, useRef, type ReactElement } from 'react';
import { useFormatter } from '../lib/preferences';

const TINT_MS = 600;

interface FigureProps {
  value: number;
  className?: string;
}

export function Figure({ value, className = '' }: FigureProps): ReactElement {
  const format = useFormatter();
  const ref = useTint(value);
  const { whole, cents, after } = format.moneyParts(value);
  return (
    <span ref={ref} className={`figure ${className}`}>
      {whole}
      <span className="cents">
        {cents}
        {after}
      </span>
    </span>
  );
}

/** Beside a figure that holds an estimate. */
export function Estimate(): ReactElement {
  return <small className="soft"> estimate</small>;
}

/** The element to tint when `value` becomes another. */
export function useTint(value: number): (element: HTMLSpanElement | null) => void {
  const element = useRef<HTMLSpanElement | null>(null);
  const before = useRef(value);
  useEffect(() => {
    const change = value - before.current;
    before.current = value;
    if (change === 0 || !element.current?.animate || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    element.current.dataset['change'] = change > 0 ? 'up' : 'down';
    // Opacity of a pseudo-element is animated without the main thread, which has charts to draw.
    element.current.animate([{ opacity: 1 }, { opacity: 0 }], { duration: TINT_MS, easing: 'ease-out', pseudoElement: '::before' });
  }, [value]);
  return (found) => {
    element.current = found;
  };
}

/** Gain, loss or neither, for colour beside a sign or an arrow. */
export function tone(value: number): 'gain' | 'loss' | '' {
  if (value > 0) return 'gain';
  return value < 0 ? 'loss' : '';
}
