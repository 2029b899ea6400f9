/** Two pages by the fragment of one address; the fragment's query holds the range. */

import { useSyncExternalStore } from 'react';
import { type Range, RANGES } from 'pnl-client';
import { prefer, usePreferences } from './preferences';

export type Route = 'overview' | 'system';

export function useRoute(): Route {
  return useSyncExternalStore(subscribe, () => routeOf(window.location.hash));
}

/** The chosen range: the address decides, so that a link shows the same to another person, then the last choice. */
export function useRange(): Range {
  const named = useSyncExternalStore(subscribe, () => rangeOf(window.location.hash));
  const { range } = usePreferences();
  return named ?? range;
}

export function chooseRange(range: Range): void {
  prefer({ range });
  window.history.replaceState(null, '', `#/?range=${range}`);
  for (const changed of listeners) changed();
}

export function routeOf(hash: string): Route {
  return hash.replace(/\?.*/, '') === '#/system' ? 'system' : 'overview';
}

/** The range that a fragment names; null when it names none of them. */
export function rangeOf(hash: string): Range | null {
  const named = new URLSearchParams(hash.split('?')[1] ?? '').get('range');
  return RANGES.find((range) => range === named) ?? null;
}

const listeners = new Set<() => void>();

function subscribe(changed: () => void): () => void {
  listeners.add(changed); // The browser does not report what the page itself replaces.
  window.addEventListener('hashchange', changed);
  return () => {
    listeners.delete(changed);
    window.removeEventListener('hashchange', changed);
  };
}
