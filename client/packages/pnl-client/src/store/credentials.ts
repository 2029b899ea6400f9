/** The API key, stored as its user chose: in this page only, in this tab, or on this device. */

import { DEFAULT_NAME, type KeyValueStore } from './persist.js';

export type Keeping = 'page' | 'tab' | 'device';

export interface Credentials {
  get: () => string | null;
  set: (key: string, keeping: Keeping) => void;
  forget: () => void;
  keeping: () => Keeping | null;
}

/** `name`: prefix of the key's name in both storages. */
export function createCredentials(tab: KeyValueStore | null, device: KeyValueStore | null, name = DEFAULT_NAME): Credentials {
  const item = `${name}-api-key`;
  let page: string | null = null;
  const read = (storage: KeyValueStore | null): string | null => quietly(() => storage?.getItem(item) ?? null);

  function forget(): void {
    page = null;
    for (const storage of [tab, device]) quietly(() => (storage?.removeItem(item), null));
  }

  return {
    get: () => page ?? read(tab) ?? read(device),
    keeping: () => (page !== null ? 'page' : read(tab) !== null ? 'tab' : read(device) !== null ? 'device' : null),
    forget,
    set(key, keeping) {
      forget();
      const storage = { page: null, tab, device }[keeping];
      if (storage === null) page = key;
      else quietly(() => (storage.setItem(item, key), null));
      page ??= read(storage) === null ? key : null;
    },
  };
}

function quietly(touch: () => string | null): string | null {
  try {
    return touch();
  } catch {
    return null; // Storage may be forbidden; then the key is in the page only.
  }
}
