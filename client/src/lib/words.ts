/** The wire's codes in plain words. */

import type { Breaker } from '../types/wire';
import type { TransportName } from '../transports/types';

export function breakerWord(state: Breaker['state']): string {
  return { CLOSED: 'closed', OPEN: 'open', HALF_OPEN: 'half open' }[state] ?? state;
}

/** A service as its breaker is called, in words. */
export function serviceWord(service: string): string {
  return { kalshi: 'Kalshi', anthropic: 'Anthropic', johns_revenue: 'John’s revenue' }[service] ?? service.replaceAll('_', ' ');
}

export const TRANSPORT_WORDS: Record<TransportName, string> = {
  websocket: 'WebSocket',
  sse: 'Event stream',
  polling: 'Every 30 s',
  offline: 'Offline',
};
