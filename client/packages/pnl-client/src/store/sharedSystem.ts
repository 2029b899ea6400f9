/**
 * The server's health, breakers and cache, read once for all tabs of a browser. The tab that read them last continues; another
 * one takes over when it has sent nothing for longer than an interval, so a tab that is closed or hidden is soon replaced.
 */

import type { PnLStore } from './assemble.js';
import type { SystemState } from './state.js';

/** Sends messages to the other tabs; a sender does not get its own. */
export interface TabChannel {
  post: (message: unknown) => void;
  onMessage: (listener: (message: unknown) => void) => void;
}

export interface SharedSystemOptions {
  store: PnLStore;
  /** Null where a browser has none: then each tab reads. */
  channel: TabChannel | null;
  visible: () => boolean;
  everyMs?: number;
  now?: () => number;
  random?: () => number;
}

export interface SharedSystem {
  /** Keeps the store's `system` up to date until the returned function is called; `whole`: also what only the system page shows. */
  subscribe: (whole: boolean) => () => void;
  /** Something has changed: read before the next interval ends. */
  readSoon: () => void;
}

type Message =
  | { kind: 'need'; whole: boolean } // The reader sends its state, if it is recent.
  | { kind: 'subscribed'; whole: boolean } // The reader is to continue for this tab.
  | { kind: 'reading'; whole: boolean }
  | { kind: 'result'; whole: boolean; read: boolean; system: SystemState; latencyMs: number | null };

const EVERY_MS = 10_000;
/** How long a new tab waits for the state of another one. */
const ANSWER_MS = 150;
/** How much later than its interval a reader may be before another takes over; each tab adds a random part of the same length. */
const LATE_MS = 1_000;
/** A subscription of another tab that is not repeated within this many intervals has ended. */
const SUBSCRIPTION_INTERVALS = 2.5;

export function shareSystem(options: SharedSystemOptions): SharedSystem {
  return new SharedReader({ everyMs: EVERY_MS, now: Date.now, random: Math.random, ...options });
}

class SharedReader implements SharedSystem {
  readonly #options: Required<SharedSystemOptions>;
  #subscribed: { whole: boolean } | null = null;
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

  subscribe(whole: boolean): () => void {
    const { channel, everyMs, random } = this.#options;
    this.#subscribed = { whole };
    if (this.#isFresh(whole)) {
      this.#arm(everyMs);
    } else {
      this.#post({ kind: 'need', whole });
      this.#arm(channel === null ? 0 : ANSWER_MS * (1 + random()));
    }
    return () => {
      this.#subscribed = null;
      this.#reader = false;
      clearTimeout(this.#timer);
    };
  }

  readSoon(): void {
    if (this.#subscribed === null) return;
    if (this.#reader) this.#turn();
    else this.#arm(LATE_MS * (1 + this.#options.random()));
  }

  #turn(): void {
    const { visible, now, everyMs } = this.#options;
    if (this.#subscribed === null) return;
    if (visible()) void this.#read(this.#subscribed.whole || this.#othersWantWholeUntil > now());
    else this.#reader = false;
    this.#arm(everyMs);
  }

  async #read(whole: boolean): Promise<void> {
    this.#reader = true;
    this.#post({ kind: 'reading', whole });
    await this.#options.store.getState().fetchSystem(whole);
  }

  #receive(message: Message): void {
    const { now, everyMs } = this.#options;
    if (message.kind === 'result') {
      this.#take(message);
    } else if (message.kind === 'reading') {
      if (this.#subscribed !== null && (message.whole || !this.#subscribed.whole)) this.#armAfterAnother();
    } else {
      if (message.whole) this.#othersWantWholeUntil = now() + SUBSCRIPTION_INTERVALS * everyMs;
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
    if (!read || this.#subscribed === null || (this.#subscribed.whole && !whole)) return;
    this.#armAfterAnother();
    this.#post({ kind: 'subscribed', whole: this.#subscribed.whole });
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
