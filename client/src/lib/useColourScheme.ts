/** The light or dark scheme in force, for what is drawn on a canvas and cannot use the style sheet. */

import { useSyncExternalStore } from 'react';
import { usePreferences } from './preferences';

export function useColourScheme(): 'light' | 'dark' {
  const { theme } = usePreferences();
  const system = useSyncExternalStore(subscribe, () => (query().matches ? 'dark' : 'light'));
  return theme === 'auto' ? system : theme;
}

const query = (): MediaQueryList => matchMedia('(prefers-color-scheme: dark)');

function subscribe(changed: () => void): () => void {
  const list = query();
  list.addEventListener('change', changed);
  return () => list.removeEventListener('change', changed);
}
