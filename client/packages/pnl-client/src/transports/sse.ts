/** The second transport: the ledger feed as Server-Sent Events. It has totals; the store fetches the rest of a snapshot. */

import type { Ledger, LedgerDelta } from '../types/wire.js';
import type { LedgerMessage } from '../types/shapes.js';
import type { Transport, TransportEvents } from './types.js';

/** The server repeats a snapshot every 60 s, and EventSource hides its comments: after a longer time without an event the connection is lost. */
const SILENCE_MS = 75_000;

export interface SseOptions {
  api: () => string;
  key: () => string | null;
  /** `EventSource`, or a replacement of it. */
  open?: (url: string) => EventSource;
}

export function sseTransport({ api, key, open = (url) => new EventSource(url) }: SseOptions): Transport {
  let source: EventSource | null = null;
  let watchdog: ReturnType<typeof setTimeout> | undefined;

  function close(): void {
    clearTimeout(watchdog);
    source?.close();
    source = null;
  }

  return {
    rung: 'sse',
    open(events: TransportEvents) {
      close();
      const apiKey = key();
      let mine: EventSource;
      try {
        mine = open(`${api()}/api/pnl/stream${apiKey === null ? '' : `?apiKey=${encodeURIComponent(apiKey)}`}`);
      } catch (error) {
        events.down({ kind: 'network', message: String(error) }); // Node has no EventSource.
        return;
      }
      let ledger: Ledger | null = null;
      source = mine;

      const lose = (message: string): void => {
        if (source !== mine) return;
        close();
        events.down({ kind: 'network', message });
      };
      const listen = (): void => {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => lose('The event stream sent nothing'), SILENCE_MS);
      };

      mine.onopen = () => {
        if (source !== mine) return;
        listen();
        events.up({ resumed: false });
      };
      mine.onerror = () => lose('The event stream broke off');
      mine.onmessage = (event: MessageEvent<string>) => {
        if (source !== mine) return;
        listen();
        const message = parsed(event.data);
        if (message?.type === 'snapshot') {
          ledger = message.data;
        } else if (ledger !== null && message !== null && message.data.prevSeq === ledger.seq) {
          ledger = applyDelta(ledger, message.data);
        } else {
          ledger = null;
          events.missed();
          return;
        }
        events.ledger(ledger);
      };
    },
    close,
  };
}

/** A message of the feed, or null for anything else. */
function parsed(text: string): LedgerMessage | null {
  try {
    const message = JSON.parse(text) as LedgerMessage | null;
    return message?.data && (message.type === 'snapshot' || message.type === 'delta') ? message : null;
  } catch {
    return null;
  }
}

/** The ledger after a delta, which brings the sums that it leads to. */
function applyDelta(ledger: Ledger, delta: LedgerDelta): Ledger {
  const { timestamp, kalshiPnL, totalCosts, totalRevenue, netPnL, breakdown, seq } = delta;
  return { ...ledger, timestamp, kalshiPnL, totalCosts, totalRevenue, netPnL, breakdown, seq };
}
