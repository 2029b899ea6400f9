// @vitest-environment happy-dom
import { act, StrictMode, type ReactElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { useNow } from '../src/lib/useNow';
import { pnlStore, useFetchPnL, useLastUpdate, usePnLComponents, usePnLConnection, usePnLHistory, usePnLMetrics, usePnLSocket, usePnLStore } from '../src/pnlStore';
import { snapshot } from './fixtures';

let renders = 0;

/** The page of the older documents, reading everything that an application could. */
function OldPage(): ReactElement {
  renders += 1;
  const { initSocket, disconnect } = usePnLSocket();
  const { fetchCurrentPnL, fetchHistory, fetchComponentBreakdown } = useFetchPnL();
  const { connected, loading, error } = usePnLConnection();
  const metrics = usePnLMetrics();
  const components = usePnLComponents();
  const history = usePnLHistory();
  const lastUpdate = useLastUpdate();
  const whole = usePnLStore();
  const callable = [initSocket, disconnect, fetchCurrentPnL, fetchHistory, fetchComponentBreakdown].every((action) => typeof action === 'function');
  return (
    <p>
      {[metrics.netPnL, components.kalshi.positions, history.length, String(lastUpdate), String(connected), String(loading), String(error), whole.pnl.seq, callable].join(' ')}
    </p>
  );
}

describe('the hooks under zustand 5', () => {
  let root: Root;
  let host: HTMLElement;
  const complaints = vi.fn();

  beforeEach(() => {
    vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
    vi.spyOn(console, 'error').mockImplementation(complaints);
    vi.spyOn(console, 'warn').mockImplementation(complaints);
    host = document.createElement('div');
    root = createRoot(host);
    renders = 0;
  });
  afterEach(() => {
    act(() => root.unmount());
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it('render once for a change and do not loop', () => {
    act(() => root.render(<StrictMode><OldPage /></StrictMode>));
    expect(host.textContent).toBe('0 0 0 null false false null 0 true');
    const before = renders;
    act(() => pnlStore.setState({ pnl: snapshot(4), history: [snapshot(4)], lastUpdate: 'now', connected: true }));
    expect(host.textContent).toBe('1004 0 1 now true false null 4 true');
    expect(renders - before).toBeLessThanOrEqual(2); // StrictMode renders twice.
    expect(complaints).not.toHaveBeenCalled();
  });

  it('tell the time in a hidden tab, too, only less often', () => {
    vi.useFakeTimers({ now: 1_000_000 });
    const visibility = vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('visible');
    const Clock = (): ReactElement => <p>{useNow()}</p>;
    const after = (ms: number): string | null => {
      act(() => void vi.advanceTimersByTime(ms));
      return host.textContent;
    };
    act(() => root.render(<Clock />));
    expect(after(1_000)).toBe('1001000');
    visibility.mockReturnValue('hidden');
    expect(after(9_000)).toBe('1001000');
    expect(after(1_000)).toBe('1011000');
    vi.useRealTimers();
  });

  it('have the store’s own methods beside them', () => {
    usePnLStore.setState({ error: 'x' });
    expect(usePnLStore.getState().error).toBe('x');
    usePnLStore.getState().clearError();
    expect(usePnLStore.getState().error).toBeNull();
  });
});
