/** Reads the server's state once for all tabs with this page. */

import { pnlStore, type SharedSystem, shareSystem } from 'pnl-client';
import { tabChannel } from './tabs';

let shared: SharedSystem | null = null;

/** One for the page, made when it is first needed: by then it is known which server the tabs share. */
export function pageSystem(): SharedSystem {
  shared ??= shareSystem({
    store: pnlStore,
    channel: tabChannel(`pnl-system ${pnlStore.address().api}`),
    visible: () => document.visibilityState !== 'hidden',
  });
  return shared;
}
