// @vitest-environment happy-dom
import { act, StrictMode, type ReactElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  createPnLStore,
  pnlStore,
  useFetchPnL,
  useLastUpdate,
  usePnLComponents,
  usePnLConnection,
  usePnLHistory,
  usePnLMetrics,
  usePnLSocket,
  usePnLStore,
  type PnLStore,
} from '../src/index.js';
import { snapshot } from './fixtures.js';

let renders = 0;

/** The page of the older documents, reading everything that an application could; of a given store, or as they do of the default one. */
function OldPage({ store }: { store?: PnLStore }): ReactElement {
  renders += 1;
  const { initSocket, disconnect } = usePnLSocket(store);
  const { fetchCurrentPnL, fetchHistory, fetchComponentBreakdown } = useFetchPnL(store);
  const { connected, loading, error } = usePnLConnection(store);
  const metrics = usePnLMetrics(store);
  const components = usePnLComponents(store);
  const history = usePnLHistory(store);
  const lastUpdate = useLastUpdate(store);
  const whole = usePnLStore((state) => state, store);
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

  it('read the store that they are given, and no other', () => {
    const [one, other] = [createPnLStore(), createPnLStore()];
    act(() => root.render(<><OldPage store={one} /><OldPage store={other} /></>));
    act(() => one.setState({ pnl: snapshot(4), connected: true }));
    act(() => other.setState({ pnl: snapshot(7), error: 'unplugged' }));
    expect([...host.querySelectorAll('p')].map(({ textContent }) => textContent)).toEqual(['1004 0 0 null true false null 4 true', '1007 0 0 null false false unplugged 7 true']);
    expect(complaints).not.toHaveBeenCalled();
  });

  it('give the whole state without a selector', () => {
    const Whole = (): ReactElement => <p>{String(usePnLStore() === pnlStore.getState())}</p>;
    act(() => root.render(<Whole />));
    expect(host.textContent).toBe('true');
  });

  it('have the store’s own methods beside them', () => {
    usePnLStore.setState({ error: 'x' });
    expect(usePnLStore.getState().error).toBe('x');
    usePnLStore.getState().clearError();
    expect(usePnLStore.getState().error).toBeNull();
  });
});
