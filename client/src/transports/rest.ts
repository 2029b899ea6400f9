/** REST with the key in a header, a deadline, and failures as one error type. */

import type { Envelope } from '../types/shapes';
import type { Failure } from '../types/wire';

export class ApiError extends Error {
  readonly status: number;
  readonly code: string | undefined;
  readonly id: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, error: Partial<Failure['error']>, retryAfterMs?: number) {
    super(error.message ?? `The server answered ${status}`);
    this.name = 'ApiError';
    this.status = status;
    this.code = error.code;
    this.id = error.id;
    this.retryAfterMs = retryAfterMs;
  }

  /** True when another attempt needs another key first. */
  get needsKey(): boolean {
    return this.status === 401 || this.status === 403;
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
  api: string;
  key: () => string | null;
  fetch?: typeof globalThis.fetch;
  timeoutMs?: number;
}

export function createRest({ api, key, fetch = (...args) => globalThis.fetch(...args), timeoutMs = 8_000 }: RestOptions): Rest {
  async function send(path: string, init: RequestInit, apiKey: string | null): Promise<Response> {
    const headers = new Headers(init.headers);
    if (apiKey !== null) headers.set('X-API-Key', apiKey);
    return fetch(api + path, { ...init, headers, cache: 'no-store', signal: AbortSignal.timeout(timeoutMs) });
  }

  async function data<Data>(response: Response): Promise<Data> {
    if (!response.ok) throw await failure(response);
    return ((await response.json()) as Envelope<Data>).data;
  }

  return {
    get: async (path) => data(await send(path, {}, key())),
    plain: async <Body>(path: string) => {
      const response = await send(path, {}, null);
      if (!response.ok && response.status !== 503) throw await failure(response);
      return (await response.json()) as Body;
    },
    text: async (path) => {
      const response = await send(path, {}, key());
      if (!response.ok) throw await failure(response);
      return response.text();
    },
    post: async (path, body, apiKey) =>
      data(await send(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }, apiKey)),
  };
}

async function failure(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => null)) as Failure | null;
  const seconds = Number(response.headers.get('Retry-After') ?? body?.error?.retryAfter ?? Number.NaN);
  return new ApiError(response.status, body?.error ?? {}, Number.isFinite(seconds) ? seconds * 1_000 : undefined);
}
