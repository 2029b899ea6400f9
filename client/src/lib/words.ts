/** The texts for the codes of messages. */

import type { BreakerState, TransportName } from 'pnl-client';

export function breakerWord(state: BreakerState['state']): string {
  return { CLOSED: 'closed', OPEN: 'open', HALF_OPEN: 'half open' }[state] ?? state;
}

/** A service or a part of the server, in words. */
export function serviceWord(service: string): string {
  return { kalshi: 'Kalshi', anthropic: 'Anthropic', johns: 'John’s revenue', johns_revenue: 'John’s revenue', redis: 'Redis', sqlite: 'SQLite' }[service] ?? capital(service.replaceAll('_', ' '));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const TRANSPORT_WORDS: Record<TransportName, string> = {
  websocket: 'WebSocket',
  sse: 'Event stream',
  polling: 'Every 30 s',
  offline: 'Offline',
};
