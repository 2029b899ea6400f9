/**
 * What the server says of itself, read once for all tabs of a browser. Whoever read it last goes on reading; the others
 * take over when it has been silent for longer than an interval, so a tab that is closed or hidden is soon replaced.
 */

import type { PnLStore } from './assemble.js';
import type { SystemState } from './state.js';

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

export function shareSystem(options: SharedSystemOptions): SharedSystem {
  return new SharedReader({ everyMs: EVERY_MS, now: Date.now, random: Math.random, ...options });
}

class SharedReader implements SharedSystem {
  readonly #options: Required<SharedSystemOptions>;
  #wanted: { whole: boolean } | null = null;
  /** This tab read last. */
  #reader = false;
  #receiving = false;
  #othersWantWholeUntil = -Infinity;
  #wholeReadAt = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: Required<SharedSystemOptions>) {
    this.#options = options;
    options.store.subscribe(({ system }, before) => {
      if (system === before.system) return;
      const whole = system.health !== before.system.health;
      if (whole) this.#wholeReadAt = options.now();
      if (!this.#receiving) this.#post(this.#result(whole, system.readAt !== before.system.readAt));
    });
    options.channel?.onMessage((message) => this.#receive(message as Message));
  }

  want(whole: boolean): () => void {
    const { channel, everyMs, random } = this.#options;
    this.#wanted = { whole };
    if (this.#isFresh(whole)) {
      this.#arm(everyMs);
    } else {
      this.#post({ kind: 'need', whole });
      this.#arm(channel === null ? 0 : ANSWER_MS * (1 + random()));
    }
    return () => {
      this.#wanted = null;
      this.#reader = false;
      clearTimeout(this.#timer);
    };
  }

  hasten(): void {
    if (this.#wanted === null) return;
    if (this.#reader) this.#turn();
    else this.#arm(LATE_MS * (1 + this.#options.random()));
  }

  #turn(): void {
    const { visible, now, everyMs } = this.#options;
    if (this.#wanted === null) return;
    if (visible()) void this.#read(this.#wanted.whole || this.#othersWantWholeUntil > now());
    else this.#reader = false;
    this.#arm(everyMs);
  }

  async #read(whole: boolean): Promise<void> {
    this.#reader = true;
    this.#post({ kind: 'asking', whole });
    await this.#options.store.getState().fetchSystem(whole);
  }

  #receive(message: Message): void {
    const { now, everyMs } = this.#options;
    if (message.kind === 'result') {
      this.#take(message);
    } else if (message.kind === 'asking') {
      if (this.#wanted !== null && (message.whole || !this.#wanted.whole)) this.#armAfterAnother();
    } else {
      if (message.whole) this.#othersWantWholeUntil = now() + WISH_INTERVALS * everyMs;
      if (message.kind !== 'need' || !this.#reader) return;
      if (this.#isFresh(message.whole)) this.#post(this.#result(message.whole, true));
      else this.#turn();
    }
  }

  #take({ whole, read, system, latencyMs }: Extract<Message, { kind: 'result' }>): void {
    const { store } = this.#options;
    if (!store.getState().connected) return; // This tab may have another key, or none.
    const { api, apiReadAt, breakers, readAt, sources } = system;
    this.#receiving = true;
    store.setState((mine) => ({ system: { ...mine.system, ...(whole ? system : { api, apiReadAt, breakers, readAt, sources }) }, latencyMs }));
    this.#receiving = false;
    if (!read || this.#wanted === null || (this.#wanted.whole && !whole)) return;
    this.#armAfterAnother();
    this.#post({ kind: 'want', whole: this.#wanted.whole });
  }

  #result(whole: boolean, read: boolean): Message {
    const { system, latencyMs } = this.#options.store.getState();
    return { kind: 'result', whole, read, system, latencyMs };
  }

  #isFresh(whole: boolean): boolean {
    const { store, now, everyMs } = this.#options;
    const readAt = store.getState().system.readAt ?? -Infinity;
    return now() - (whole ? Math.min(this.#wholeReadAt, readAt) : readAt) < everyMs;
  }

  #armAfterAnother(): void {
    this.#reader = false;
    this.#arm(this.#options.everyMs + LATE_MS * (1 + this.#options.random()));
  }

  #arm(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#turn(), waitMs);
  }

  #post(message: Message): void {
    this.#options.channel?.post(message);
  }
}
