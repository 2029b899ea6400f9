/** The wire's codes in plain words. */

import type { Breaker } from '../types/wire';
import type { TransportName } from '../transports/types';

export function breakerWord(state: Breaker['state']): string {
  return { CLOSED: 'closed', OPEN: 'open', HALF_OPEN: 'half open' }[state] ?? state;
}

export const TRANSPORT_WORDS: Record<TransportName, string> = {
  websocket: 'WebSocket',
  sse: 'Event stream',
  polling: 'Every 30 s',
  offline: 'Offline',
};
