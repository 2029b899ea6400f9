/**
 * Keeps the best transport that works: tries them in order, stays on the first that comes up, and while that is not
 * the best one (or none is up) tries the better ones again after 1, 2, 5, 10, then every 30 s.
 */

import { backoff } from './backoff.js';
import type { Down, Rung, Transport, TransportEvents } from './types.js';

/** A transport that neither comes up nor fails within this time has failed. */
const CONNECT_TIMEOUT_MS = 6_000;
/** After a connection of this length the waits start from the shortest again. */
const STABLE_MS = 10_000;

export interface LadderState {
  /** The rung that is up, if one is. */
  readonly rung: Rung | null;
  readonly phase: 'stopped' | 'connecting' | 'up' | 'waiting' | 'refused';
  /** When the next attempt at a better rung is due (ms since the epoch). */
  readonly nextTryAt: number | null;
  readonly reason: string | null;
}

export interface LadderOptions {
  transports: readonly Transport[];
  /** Receives the messages of the transport that is up; `up` and `down` are handled here. */
  events: Omit<TransportEvents, 'up' | 'down'>;
  onState: (state: LadderState) => void;
  onUp: (rung: Rung, state: { resumed: boolean }) => void;
  random?: () => number;
  now?: () => number;
}

export class Ladder {
  readonly #options: Required<LadderOptions>;
  #running = false;
  #refused = false;
  #active: number | null = null;
  #trying: number | null = null;
  #upSince = 0;
  /** Attempts while nothing is up, since the last good connection. */
  #attempt = 0;
  /** Attempts at a better rung while one is up; they do not lengthen the wait after a loss. */
  #betterAttempt = 0;
  #nextTryAt: number | null = null;
  #reason: string | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LadderOptions) {
    this.#options = { random: Math.random, now: Date.now, ...options };
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#attempt = 0;
    this.#sweep(0);
  }

  stop(): void {
    this.#running = false;
    this.#refused = false;
    this.#closeAll();
    this.#reason = null;
    this.#notify();
  }

  /** Try now and not after the wait: the network is back, the page is visible, a key was given. */
  retryNow(): void {
    if (!this.#running || this.#trying !== null || this.#active === 0) return;
    this.#refused = false;
    this.#attempt = 0;
    this.#betterAttempt = 0;
    this.#sweep(0);
  }

  /** Close what is open and begin again, as after a change of key. */
  restart(): void {
    this.#running = true;
    this.#refused = false;
    this.#attempt = 0;
    this.#closeAll();
    this.#sweep(0);
  }

  #sweep(index: number): void {
    this.#cancelRetry();
    const { transports } = this.#options;
    if (index >= (this.#active ?? transports.length)) {
      this.#trying = null;
      this.#scheduleRetry();
      this.#notify();
      return;
    }
    this.#trying = index;
    this.#notify();
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#down(index, { kind: 'network', message: 'No answer' }), CONNECT_TIMEOUT_MS);
    transports[index]?.open(this.#eventsOf(index));
  }

  #eventsOf(index: number): TransportEvents {
    return { ...this.#options.events, up: (state) => this.#up(index, state), down: (reason) => this.#down(index, reason) };
  }

  #up(index: number, state: { resumed: boolean }): void {
    if (this.#trying !== index) return;
    const { transports, now, onUp } = this.#options;
    clearTimeout(this.#deadline);
    this.#trying = null;
    if (this.#active === null) this.#betterAttempt = 0;
    else transports[this.#active]?.close();
    this.#active = index;
    this.#upSince = now();
    this.#reason = null;
    if (index > 0) this.#scheduleRetry();
    this.#notify();
    onUp(transports[index]?.rung ?? 'polling', state);
  }

  #down(index: number, reason: Down): void {
    const { transports, now } = this.#options;
    if (index !== this.#trying && index !== this.#active) return;
    transports[index]?.close();
    this.#reason = reason.message;
    if (reason.kind === 'auth') {
      this.#closeAll();
      this.#refused = true;
      this.#notify();
    } else if (index === this.#trying) {
      clearTimeout(this.#deadline);
      this.#sweep(index + 1);
    } else {
      this.#active = null;
      if (now() - this.#upSince >= STABLE_MS) this.#attempt = 0;
      if (this.#trying === null) this.#scheduleRetry();
      this.#notify();
    }
  }

  #scheduleRetry(): void {
    this.#cancelRetry();
    const attempt = this.#active === null ? this.#attempt++ : this.#betterAttempt++;
    const wait = backoff(attempt, this.#options.random());
    this.#nextTryAt = this.#options.now() + wait;
    this.#retry = setTimeout(() => this.#sweep(0), wait);
  }

  #cancelRetry(): void {
    clearTimeout(this.#retry);
    this.#nextTryAt = null;
  }

  #closeAll(): void {
    this.#cancelRetry();
    clearTimeout(this.#deadline);
    for (const index of [this.#trying, this.#active]) {
      if (index !== null) this.#options.transports[index]?.close();
    }
    this.#trying = null;
    this.#active = null;
  }

  #notify(): void {
    this.#options.onState({ rung: this.#rung(), phase: this.#phase(), nextTryAt: this.#nextTryAt, reason: this.#reason });
  }

  #rung(): Rung | null {
    return this.#active === null ? null : (this.#options.transports[this.#active]?.rung ?? null);
  }

  #phase(): LadderState['phase'] {
    if (!this.#running) return 'stopped';
    if (this.#refused) return 'refused';
    if (this.#active !== null) return 'up';
    return this.#trying === null ? 'waiting' : 'connecting';
  }
}
