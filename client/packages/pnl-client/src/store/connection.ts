/** The connection of one store: its transports, best first, and the actions that open and close it. */

import type { Socket } from 'socket.io-client';
import { Ladder, type LadderState } from '../transports/ladder.js';
import type { Cursor, Rung, Transport } from '../transports/types.js';
import type { StoreContext } from './context.js';
import type { Figures } from './figures.js';
import { PROBE_EVERY_MS, type Refresh } from './refresh.js';
import type { PnLState } from './state.js';

type ConnectionActions = Pick<PnLState, 'initSocket' | 'disconnect' | 'setKey' | 'forgetKey' | 'retryNow'>;

export interface ConnectionParts {
  /** Best first. Given the cursor of the last update seen in this session. */
  transports: (cursor: () => Cursor | null) => readonly Transport[];
  random: () => number;
  /** Write what waits to be kept. */
  flush: () => void;
}

export function createConnection(context: StoreContext, figures: Figures, refresh: Refresh, parts: ConnectionParts): ConnectionActions {
  const { get, set, credentials, now } = context;
  const { session, catchUp } = figures;
  let probing: ReturnType<typeof setInterval> | undefined;
  let started = false; // Between `initSocket` and `disconnect`.
  const list = parts.transports(() => cursorOf(session()));
  const ladder = new Ladder({ transports: list, events: figures.events, onState: onLink, onUp, random: parts.random, now });

  function onLink(link: LadderState): void {
    const up = link.phase === 'up';
    set({
      link,
      connected: up,
      transport: link.rung ?? 'offline',
      loading: link.phase === 'connecting' && get().receivedAt === null,
      keyWanted: link.phase === 'refused' ? (link.reason ?? 'The server needs a key') : null,
      ...(up ? {} : { latencyMs: null }),
      ...(up && !get().connected ? { error: null } : {}),
      ...(link.phase === 'waiting' ? { error: link.reason } : {}),
    });
  }

  function onUp(rung: Rung, { resumed }: { resumed: boolean }): void {
    if (session() === null || !resumed) catchUp.request(session());
    else catchUp.resume();
    if (rung !== 'websocket') {
      refresh.breakdown();
      void refresh.baseline();
    }
    void refresh.measure();
  }

  return {
    initSocket: async (options) => {
      if (options?.apiKey !== undefined) credentials.set(options.apiKey, 'page');
      set({ socket: socketOf(list) });
      started = true;
      await Promise.resolve(); // React's strict mode disconnects and calls this again before anything was opened.
      if (!started) return;
      probing ??= setInterval(() => void (get().connected && refresh.measure(true)), PROBE_EVERY_MS);
      ladder.start();
    },
    disconnect: () => {
      started = false;
      clearInterval(probing);
      probing = undefined;
      ladder.stop();
      set({ socket: null });
      parts.flush();
    },
    setKey: (key, keeping) => {
      credentials.set(key, keeping);
      ladder.restart();
    },
    forgetKey: () => {
      credentials.forget();
      ladder.restart();
    },
    retryNow: () => ladder.retryNow(),
  };
}

function cursorOf(last: Cursor | null): Cursor | null {
  return last !== null && last.epoch !== '' ? { epoch: last.epoch, seq: last.seq } : null;
}

function socketOf(transports: readonly Transport[]): Socket | null {
  return transports.find((transport): transport is Transport & { socket: Socket } => 'socket' in transport)?.socket ?? null;
}
