// @vitest-environment happy-dom
import { act, type ReactElement } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { pnlStore } from 'pnl-client';
import { Boundary } from '../src/components/Boundary';
import { Overview } from '../src/pages/Overview';
import { readSnapshot } from '../packages/pnl-client/src/store/parse';
import { T0 } from '../packages/pnl-client/tests/fixtures';

let root: Root;
let host: HTMLElement;
let broken = true;

function Fragile(): ReactElement {
  if (broken) throw new Error('no figures');
  return <p>whole again</p>;
}

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.spyOn(console, 'error').mockImplementation(() => undefined);
  host = document.createElement('div');
  root = createRoot(host);
});
afterEach(() => {
  act(() => root.unmount());
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const press = (name: string): void => act(() => [...host.querySelectorAll('button')].find(({ textContent }) => textContent === name)?.click());

it('a block that fails leaves the rest, and can be tried again', () => {
  act(() => root.render(<><Boundary name="The trend"><Fragile /></Boundary><p>the rest</p></>));
  expect(host.textContent).toContain('The trend could not be shown');
  expect(host.textContent).toContain('no figures');
  expect(host.textContent).toContain('the rest');
  broken = false;
  press('Try again');
  expect(host.textContent).toContain('whole again');
});

it('a reset removes what the page keeps, but not the key, and loads the page anew', () => {
  broken = true;
  const reload = vi.spyOn(window.location, 'reload').mockImplementation(() => undefined);
  for (const name of ['pnl-store', 'pnl-preferences', 'pnl-api-key']) localStorage.setItem(name, '{}');
  act(() => root.render(<Boundary name="The trend"><Fragile /></Boundary>));
  press('Reset the page');
  expect(['pnl-store', 'pnl-preferences', 'pnl-api-key'].map((name) => localStorage.getItem(name))).toEqual([null, null, '{}']);
  expect(reload).toHaveBeenCalledOnce();
});

it('every block shows a snapshot of an older form without failing', () => {
  vi.stubGlobal('ResizeObserver', class { observe = (): void => undefined; disconnect = (): void => undefined; });
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: () => undefined, removeEventListener: () => undefined }));
  const pnl = readSnapshot({ netPnL: 1_374.5, timestamp: new Date(T0).toISOString() });
  if (pnl === null) throw new Error('not read');
  act(() => pnlStore.setState({ pnl, components: pnl.components }));
  act(() => root.render(<Overview />));
  const failures = [...host.querySelectorAll('[data-testid=failure]')].map(({ textContent }) => textContent ?? '');
  expect(failures.filter((words) => !words.startsWith('The trend'))).toEqual([]); // Its canvas needs a browser.
  expect(host.querySelector('[data-testid=net]')?.textContent).toBe('$1,374.50');
  expect(host.querySelector('[data-testid=kpis]')?.textContent).toContain('—');
});
