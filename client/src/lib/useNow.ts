/** The time in whole seconds for ages and countdowns: one clock for all of them, so that they change together. */

import { useSyncExternalStore } from 'react';

/** In a hidden tab, whose title is still updated. */
const HIDDEN_EVERY_MS = 10_000;

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    tick();
    timer = setInterval(() => (document.visibilityState === 'visible' || Date.now() - now >= HIDDEN_EVERY_MS) && tick(), 1_000);
    document.addEventListener('visibilitychange', tick);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    document.removeEventListener('visibilitychange', tick);
  };
}

function tick(): void {
  now = Date.now();
  for (const listener of listeners) listener();
}
