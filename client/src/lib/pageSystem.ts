/** Reads what the server says of itself, once for all tabs that show this page. */

import { pageApi, pnlStore } from '../pnlStore';
import { shareSystem, type SharedSystem } from '../store/sharedSystem';
import { tabChannel } from './tabs';

let shared: SharedSystem | null = null;

/** One for the page, made when it is first needed: by then it is known which server the tabs share. */
export function pageSystem(): SharedSystem {
  shared ??= shareSystem({
    store: pnlStore,
    channel: tabChannel(`pnl-system ${pageApi()}`),
    visible: () => document.visibilityState !== 'hidden',
  });
  return shared;
}
