// @vitest-environment happy-dom
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { pnlStore } from 'pnl-client';
import { Agents } from '../src/components/Agents';
import { Costs } from '../src/components/Costs';
import { Sources } from '../src/components/Sources';
import { breakdown, snapshot } from '../packages/pnl-client/tests/fixtures';

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

it('a credit is named as one: no share, no bar, and its negative value', () => {
  const costBreakdown = [
    { name: 'Trading Fees', value: 30, percentage: 100 },
    { name: 'Claude Opus', value: -12.5, percentage: 0 },
  ];
  act(() => pnlStore.setState({ components: { ...breakdown(1), costBreakdown } }));
  act(() => root.render(<Costs />));
  const lines = [...host.querySelectorAll('.cost-line')].map((line) => [...line.children].map(({ textContent }) => textContent));
  expect(lines).toEqual([
    ['Trading Fees', '100.0%', '$30.00'],
    ['Claude Opus', 'credit', '−$12.50'],
  ]);
  expect([...host.querySelectorAll('.is-cost')].map((bar) => bar.getAttribute('width'))).toEqual(['100%', '0%']);
});

it('an agent whose credits exceed its expenses adds to the net', () => {
  const agentAttribution = [
    { agent: 'Scalper', revenue: 10, expenses: 4, net: 6 },
    { agent: 'Cliff', revenue: 0, expenses: -12.5, net: 12.5 },
  ];
  act(() => pnlStore.setState({ components: { ...breakdown(1), agentAttribution } }));
  act(() => root.render(<Agents />));
  const rows = [...host.querySelectorAll('tbody tr')].map((row) => [...row.children].map(({ textContent }) => textContent));
  expect(rows).toEqual([
    ['Scalper', '$10.00', '$4.00', '+$6.00'],
    ['Cliff', '$0.00', '−$12.50', '+$12.50'],
    ['Total', '$10.00', '−$8.50', '+$18.50'],
  ]);
});

it('what an estimate lacks stands on the card of its source', () => {
  const notes = ['claude-opus-4-1: 50000 tokens have no price and are not counted.'];
  const known = snapshot(1);
  const pnl = { ...known, sources: { ...known.sources, anthropic: { ...known.sources.anthropic, estimated: true, notes } } };
  act(() => pnlStore.setState({ pnl, components: pnl.components }));
  act(() => root.render(<Sources />));
  const card = host.querySelector('[data-source=anthropic]');
  expect(card?.querySelector('.pill')?.textContent).toContain('Estimate');
  expect([...(card?.querySelectorAll('.source-notes li') ?? [])].map(({ textContent }) => textContent)).toEqual(notes);
  expect(host.querySelectorAll('.source-notes')).toHaveLength(1);
});
