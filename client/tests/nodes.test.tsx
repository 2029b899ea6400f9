// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { pnlStore, type PnLState } from 'pnl-client';
import { Nodes } from '../src/pages/System';

let root: Root;
let host: HTMLElement;

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  host = document.createElement('div');
  root = createRoot(host);
});
afterEach(() => {
  act(() => root.unmount());
  vi.unstubAllGlobals();
});

type Health = NonNullable<PnLState['system']['health']>;

function show(cluster: Health['cluster']): void {
  const { system } = pnlStore.getState();
  const health = { status: 'healthy', services: {}, parts: {}, cluster } as unknown as Health;
  act(() => pnlStore.setState({ system: { ...system, health } }));
  act(() => root.render(<Nodes />));
}

const since = '2026-02-25T12:00:00.000Z';

it('each node of a cluster is a row with its role, state and clients', () => {
  show({
    node: 'b-02',
    role: 'push',
    state: 'following',
    leader: 'a-01',
    fence: 7,
    bus: 'connected',
    lagUpdates: 2,
    lagMs: 4_000,
    nodes: [
      { id: 'a-01', role: 'all', state: 'leading', leads: true, seq: 8_127, lagMs: 0, clients: 3, since, version: '0.2.0' },
      { id: 'b-02', role: 'push', state: 'following', leads: false, seq: 8_125, lagMs: 4_000, clients: 1_200, since, version: '0.2.0' },
    ],
  });
  const rows = [...host.querySelectorAll('tbody tr')].map((row) => [...row.children].slice(0, 6).map(({ textContent }) => textContent));
  expect(rows).toEqual([
    ['a-01', 'all', 'leading', '8,127', '—', '3'],
    ['b-02', 'push', 'following', '8,125', '4 s', '1,200'],
  ]);
  expect(host.querySelector('.foot-note')?.textContent).toBe('This page is served by b-02; it is 2 updates behind.');
});

it('a server that is alone has no list of nodes', () => {
  show(undefined);
  expect(host.textContent).toBe('');
});
