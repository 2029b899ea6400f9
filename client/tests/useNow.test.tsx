// @vitest-environment happy-dom
import { act, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, expect, it, vi } from 'vitest';
import { useNow } from '../src/lib/useNow';

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

it('the time goes on in a hidden tab, too, only less often', () => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.useFakeTimers({ now: 1_000_000 });
  const visibility = vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('visible');
  const host = document.createElement('div');
  const root = createRoot(host);
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
  act(() => root.unmount());
});
