/** REST with the key in a header, a deadline, and failures as one error type. */

import type { Envelope } from '../types/shapes.js';
import type { Failure } from '../types/wire.js';

/** The code of a 429 that a valid key would not get. */
const TOO_MANY_WRONG_KEYS = 'too_many_wrong_keys';

export class ApiError extends Error {
  readonly status: number;
  readonly code: string | undefined;
  readonly id: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, error: { message?: string | undefined; code?: string | undefined; id?: string | undefined }, retryAfterMs?: number) {
    super(error.message ?? `The server answered ${status}`);
    this.name = 'ApiError';
    this.status = status;
    this.code = error.code;
    this.id = error.id;
    this.retryAfterMs = retryAfterMs;
  }

  /** True when another attempt needs another key first. */
  get needsKey(): boolean {
    return this.status === 401 || this.status === 403 || this.code === TOO_MANY_WRONG_KEYS;
  }
}

export interface Rest {
  /** The `data` of an enveloped answer. */
  get<Data>(path: string): Promise<Data>;
  /** The whole answer, for the health routes that have no envelope; a 503 with a body counts as an answer. */
  plain<Body>(path: string): Promise<Body>;
  text(path: string): Promise<string>;
  post<Data>(path: string, body: unknown, key: string | null): Promise<Data>;
}

export interface RestOptions {
  /** Origin of the server; called at each request. */
  api: () => string;
  key: () => string | null;
  fetch?: typeof globalThis.fetch;
  timeoutMs?: number;
  now?: () => number;
}

/** After a 429 with a time, what is read with the same key fails at once until then: the server would only refuse it again. */
export function createRest({ api, key, fetch = (...args) => globalThis.fetch(...args), timeoutMs = 8_000, now = Date.now }: RestOptions): Rest {
  let limited: { error: ApiError; until: number; key: string | null } | null = null;

  async function send(path: string, init: RequestInit, apiKey: string | null): Promise<Response> {
    const headers = new Headers(init.headers);
    if (apiKey !== null) headers.set('X-API-Key', apiKey);
    return fetch(api() + path, { ...init, headers, cache: 'no-store', signal: AbortSignal.timeout(timeoutMs) });
  }

  async function data<Data>(response: Response): Promise<Data> {
    if (!response.ok) throw await failure(response, now());
    return ((await response.json()) as Envelope<Data>).data;
  }

  async function read(path: string): Promise<Response> {
    const apiKey = key();
    const waitMs = limited === null ? 0 : limited.until - now();
    if (limited?.key === apiKey && waitMs > 0) throw new ApiError(limited.error.status, limited.error, waitMs);
    const response = await send(path, {}, apiKey);
    if (response.ok) return response;
    const error = await failure(response, now());
    if (error.status === 429 && error.retryAfterMs !== undefined) limited = { error, until: now() + error.retryAfterMs, key: apiKey };
    throw error;
  }

  return {
    get: async (path) => data(await read(path)),
    plain: async <Body>(path: string) => {
      const response = await send(path, {}, null);
      if (!response.ok && response.status !== 503) throw await failure(response, now());
      return (await response.json()) as Body;
    },
    text: async (path) => (await read(path)).text(),
    post: async (path, body, apiKey) =>
      data(await send(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }, apiKey)),
  };
}

async function failure(response: Response, now: number): Promise<ApiError> {
  const body = (await response.json().catch(() => null)) as Failure | null;
  const after = waitOf(response.headers.get('Retry-After') ?? body?.error?.retryAfter ?? null, now);
  return new ApiError(response.status, body?.error ?? {}, after);
}

/** ms to wait by a Retry-After, which is in seconds or a date. */
function waitOf(after: string | number | null, now: number): number | undefined {
  if (after === null || after === '') return undefined;
  const seconds = Number(after);
  const ms = Number.isNaN(seconds) ? Date.parse(String(after)) - now : seconds * 1_000;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
