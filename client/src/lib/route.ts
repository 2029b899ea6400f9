/** Two pages behind the fragment, so that the server needs to know one address. */

import { useSyncExternalStore } from 'react';

export type Route = 'overview' | 'system';

export function useRoute(): Route {
  return useSyncExternalStore(subscribe, read);
}

function subscribe(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}

function read(): Route {
  return window.location.hash === '#/system' ? 'system' : 'overview';
}
