/** The third transport: requests the current snapshot every 30 s. */

import type { Snapshot } from '../types/wire.js';
import { ApiError, type Rest } from './rest.js';
import type { Down, Transport, TransportEvents } from './types.js';

export const POLL_MS = 30_000;

export function pollingTransport({ rest, everyMs = POLL_MS }: { rest: Rest; everyMs?: number }): Transport {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let round = 0;

  function close(): void {
    clearTimeout(timer);
    round += 1;
  }

  return {
    rung: 'polling',
    open(events: TransportEvents) {
      close();
      const mine = round;
      let up = false;
      const request = async (): Promise<void> => {
        try {
          const snapshot = await rest.get<Snapshot>('/api/pnl/current');
          if (round !== mine) return;
          if (!up) events.up({ resumed: false });
          up = true;
          events.snapshot(snapshot, snapshot?.timestamp ?? '');
          timer = setTimeout(() => void request(), everyMs);
        } catch (error) {
          if (round !== mine) return;
          if (up && error instanceof ApiError && error.status === 429) {
            timer = setTimeout(() => void request(), Math.max(everyMs, error.retryAfterMs ?? 0));
            return;
          }
          close();
          events.down(reasonOf(error));
        }
      };
      void request();
    },
    close,
  };
}

function reasonOf(error: unknown): Down {
  if (error instanceof ApiError) return { kind: error.needsKey ? 'auth' : 'network', message: error.message };
  return { kind: 'network', message: error instanceof Error ? error.message : String(error) };
}
