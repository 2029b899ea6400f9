/**
 * What the server says of itself, read once for all tabs of a browser. Whoever read it last goes on reading; the others
 * take over when it has been silent for longer than an interval, so a tab that is closed or hidden is soon replaced.
 */

import type { PnLStore } from './core';
import type { SystemState } from './state';

/** A way to reach the other tabs; a message does not come back to its sender. */
export interface TabChannel {
  post: (message: unknown) => void;
  onMessage: (listener: (message: unknown) => void) => void;
}

export interface SharedSystemOptions {
  store: PnLStore;
  /** Null where a browser has none: the tab then reads for itself. */
  channel: TabChannel | null;
  visible: () => boolean;
  everyMs?: number;
  now?: () => number;
  random?: () => number;
}

export interface SharedSystem {
  /** Keeps the store's `system` fresh until the returned function is called; `whole`: what only the system page shows, too. */
  want: (whole: boolean) => () => void;
  /** Something has changed: read sooner than the next turn. */
  hasten: () => void;
}

type Message =
  | { kind: 'need'; whole: boolean } // Send what you have, if it is fresh.
  | { kind: 'want'; whole: boolean } // Go on reading for me.
  | { kind: 'asking'; whole: boolean }
  | { kind: 'result'; whole: boolean; read: boolean; system: SystemState; latencyMs: number | null };

const EVERY_MS = 10_000;
/** How long a tab that begins waits for what another has. */
const ANSWER_MS = 150;
/** How much later than its interval a reader may be before another takes over; the tabs spread over as much again. */
const LATE_MS = 1_000;
/** A wish of another tab that is not repeated for this many intervals is over. */
const WISH_INTERVALS = 2.5;

export function shareSystem({ store, channel, visible, everyMs = EVERY_MS, now = Date.now, random = Math.random }: SharedSystemOptions): SharedSystem {
  let wanted: { whole: boolean } | null = null;
  let reader = false; // This tab read last.
  let receiving = false;
  let othersWantWholeUntil = -Infinity;
  let wholeReadAt = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const post = (message: Message): void => channel?.post(message);
  const arm = (waitMs: number): void => {
    clearTimeout(timer);
    timer = setTimeout(turn, waitMs);
  };
  const afterAnother = (): void => {
    reader = false;
    arm(everyMs + LATE_MS * (1 + random()));
  };

  function turn(): void {
    if (wanted === null) return;
    if (visible()) void read(wanted.whole || othersWantWholeUntil > now());
    else reader = false;
    arm(everyMs);
  }

  async function read(whole: boolean): Promise<void> {
    reader = true;
    post({ kind: 'asking', whole });
    await store.getState().fetchSystem(whole);
  }

  function isFresh(whole: boolean): boolean {
    const readAt = store.getState().system.readAt ?? -Infinity;
    return now() - (whole ? Math.min(wholeReadAt, readAt) : readAt) < everyMs;
  }

  function result(whole: boolean, read: boolean): Message {
    const { system, latencyMs } = store.getState();
    return { kind: 'result', whole, read, system, latencyMs };
  }

  store.subscribe((after, before) => {
    if (after.system === before.system) return;
    const whole = after.system.health !== before.system.health;
    if (whole) wholeReadAt = now();
    if (!receiving) post(result(whole, after.system.readAt !== before.system.readAt));
  });

  function take({ whole, read, system, latencyMs }: Extract<Message, { kind: 'result' }>): void {
    if (!store.getState().connected) return; // This tab may have another key, or none.
    const { api, apiReadAt, breakers, readAt } = system;
    receiving = true;
    store.setState((mine) => ({
      system: { ...mine.system, ...(whole ? system : { api, apiReadAt, breakers, readAt }) },
      latencyMs,
    }));
    receiving = false;
    if (!read || wanted === null || (wanted.whole && !whole)) return;
    afterAnother();
    post({ kind: 'want', whole: wanted.whole });
  }

  channel?.onMessage((given) => {
    const message = given as Message;
    if (message.kind === 'result') return take(message);
    if (message.kind === 'asking') {
      if (wanted !== null && (message.whole || !wanted.whole)) afterAnother();
      return;
    }
    if (message.whole) othersWantWholeUntil = now() + WISH_INTERVALS * everyMs;
    if (message.kind === 'need' && reader) {
      if (isFresh(message.whole)) post(result(message.whole, true));
      else turn();
    }
  });

  return {
    want(whole) {
      wanted = { whole };
      if (!isFresh(whole)) {
        post({ kind: 'need', whole });
        arm(channel === null ? 0 : ANSWER_MS * (1 + random()));
      } else arm(everyMs);
      return () => {
        wanted = null;
        reader = false;
        clearTimeout(timer);
      };
    },
    hasten() {
      if (wanted === null) return;
      if (reader) turn();
      else arm(LATE_MS * (1 + random()));
    },
  };
}
