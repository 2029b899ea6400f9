import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi, type Mock } from 'vitest';
import { pollingTransport } from '../src/transports/polling.js';
import { ApiError, createRest } from '../src/transports/rest.js';
import { sseTransport } from '../src/transports/sse.js';
import type { TransportEvents } from '../src/transports/types.js';
import type { Ledger } from '../src/types/wire.js';
import { snapshot } from './fixtures.js';

type Recorded = { [Name in keyof TransportEvents]: Mock<TransportEvents[Name]> };
const record = (): Recorded => ({
  up: vi.fn(),
  down: vi.fn(),
  snapshot: vi.fn(),
  components: vi.fn(),
  dashboard: vi.fn(),
  ledger: vi.fn(),
  missed: vi.fn(),
  fault: vi.fn(),
});

const ledger: Ledger = {
  timestamp: 1,
  kalshiPnL: 100.1,
  totalCosts: 10.05,
  totalRevenue: 50,
  netPnL: 140.05,
  breakdown: { trades: 100.1, costs: -10.05, revenue: 50 },
  components: { openTradeCount: 1, closedTradeCount: 2, recentDeals: 0, deals: [] },
  metadata: { dataPoints: 1, computedAt: 1 },
  degraded: [],
  estimated: false,
  complete: true,
  epoch: 'k3v9',
  seq: 7,
};
const delta = {
  timestamp: 2,
  netPnLDelta: 0.2,
  kalshiDelta: 0.2,
  costsDelta: 0,
  revenueDelta: 0,
  changePercent: 0.14,
  netPnL: 140.25,
  kalshiPnL: 100.3,
  totalCosts: 10.05,
  totalRevenue: 50,
  breakdown: { trades: 100.3, costs: -10.05, revenue: 50 },
  seq: 8,
  prevSeq: 7,
};

class FakeEventSource {
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  closed = false;
  readonly url: string;
  constructor(url: string) {
    this.url = url;
  }
  close(): void {
    this.closed = true;
  }
  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

describe('the event stream', () => {
  const sources: FakeEventSource[] = [];
  const transport = sseTransport({
    api: () => 'http://server',
    key: () => 'a key&',
    open: (url) => {
      const source = new FakeEventSource(url);
      sources.push(source);
      return source as unknown as EventSource;
    },
  });
  const opened = (): { source: FakeEventSource; events: Recorded } => {
    const events = record();
    transport.open(events);
    return { source: sources.at(-1) as FakeEventSource, events };
  };

  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    transport.close();
    vi.useRealTimers();
  });

  it('is down at once where there is no EventSource', () => {
    const events = record();
    sseTransport({ api: () => 'http://server', key: () => null }).open(events);
    expect(events.down).toHaveBeenCalledExactlyOnceWith({ kind: 'network', message: 'ReferenceError: EventSource is not defined' });
  });

  it('carries the key in the address, where EventSource can only have it', () => {
    expect(opened().source.url).toBe('http://server/api/pnl/stream?apiKey=a%20key%26');
  });

  it('assembles the ledger from a snapshot and its deltas, to the cent', () => {
    const { source, events } = opened();
    source.onopen?.();
    source.say({ type: 'snapshot', data: ledger, timestamp: 1 });
    source.say({ type: 'delta', data: delta, timestamp: 2 });
    expect(events.up).toHaveBeenCalledExactlyOnceWith({ resumed: false });
    expect(events.ledger.mock.lastCall?.[0]).toMatchObject({ kalshiPnL: 100.3, netPnL: 140.25, seq: 8, breakdown: { trades: 100.3 } });
  });

  it('applies no delta that does not follow', () => {
    const { source, events } = opened();
    source.onopen?.();
    source.say({ type: 'snapshot', data: ledger, timestamp: 1 });
    source.say({ type: 'delta', data: { ...delta, seq: 10, prevSeq: 9 }, timestamp: 2 });
    expect(events.ledger).toHaveBeenCalledTimes(1);
    expect(events.missed).toHaveBeenCalledTimes(1);
    source.say({ type: 'snapshot', data: { ...ledger, seq: 10 }, timestamp: 3 });
    expect(events.ledger.mock.lastCall?.[0]).toMatchObject({ seq: 10 });
  });

  it('treats what is no message as one that was missed', () => {
    const { source, events } = opened();
    for (const data of ['', 'null', '{}', '[]', '{"type":"delta"}', '{"type":"delta","data":null}']) source.onmessage?.({ data });
    expect(events.missed).toHaveBeenCalledTimes(6);
    expect(events.ledger).not.toHaveBeenCalled();
  });

  it('is down when it breaks, and when it falls silent', () => {
    const broken = opened();
    broken.source.onerror?.();
    expect(broken.events.down).toHaveBeenCalledTimes(1);
    expect(broken.source.closed).toBe(true);
    const silent = opened();
    silent.source.onopen?.();
    vi.advanceTimersByTime(74_000);
    silent.source.say({ type: 'snapshot', data: ledger, timestamp: 1 });
    vi.advanceTimersByTime(74_000);
    expect(silent.events.down).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_000);
    expect(silent.events.down).toHaveBeenCalledTimes(1);
  });

  it('says nothing after it is closed', () => {
    const { source, events } = opened();
    transport.close();
    source.onopen?.();
    source.say({ type: 'snapshot', data: ledger, timestamp: 1 });
    source.onerror?.();
    for (const event of Object.values(events)) expect(event).not.toHaveBeenCalled();
  });
});

describe('REST and polling against a real server', () => {
  let server: Server;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const address = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const reply = (status: number, body: unknown, headers: Record<string, string> = {}) => (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
  };

  beforeEach(async () => {
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  });
  afterEach(() => new Promise((closed) => server.close(closed)));

  it('sends the key in a header and opens the envelope', async () => {
    let key: string | string[] | undefined;
    answer = (request, response) => {
      key = request.headers['x-api-key'];
      reply(200, { success: true, data: { seq: 3 }, timestamp: '' })(request, response);
    };
    const rest = createRest({ api: address, key: () => 'secret' });
    await expect(rest.get('/api/pnl/current')).resolves.toEqual({ seq: 3 });
    expect(key).toBe('secret');
  });

  it('turns a failure into one error with its code, id and wait', async () => {
    answer = reply(429, { success: false, error: { message: 'Too many requests', code: 'rate_limited', id: 'r1' } }, { 'Retry-After': '7' });
    const error = await createRest({ api: address, key: () => null })
      .get('/x')
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 429, message: 'Too many requests', code: 'rate_limited', id: 'r1', retryAfterMs: 7_000, needsKey: false });
  });

  it('takes an unhealthy answer for an answer', async () => {
    answer = reply(503, { status: 'unhealthy' });
    await expect(createRest({ api: address, key: () => null }).plain('/health')).resolves.toEqual({ status: 'unhealthy' });
  });

  it('polls: up with the first snapshot, again after the interval, down when refused', async () => {
    let polls = 0;
    answer = (request, response) => {
      polls += 1;
      if (polls <= 2) reply(200, { success: true, data: snapshot(polls), timestamp: '' })(request, response);
      else reply(401, { success: false, error: { message: 'Missing API key' } })(request, response);
    };
    const events = record();
    const down = new Promise((told: (reason: unknown) => void) => events.down.mockImplementation(told));
    pollingTransport({ rest: createRest({ api: address, key: () => null }), everyMs: 5 }).open(events);
    await expect(down).resolves.toEqual({ kind: 'auth', message: 'Missing API key' });
    expect(events.up).toHaveBeenCalledTimes(1);
    expect(events.snapshot.mock.calls.map(([{ seq }]) => seq)).toEqual([1, 2]);
  });

  it('polls: down when nobody answers', async () => {
    const gone = address();
    await new Promise((closed) => server.close(closed));
    const events = record();
    const down = new Promise((told: (reason: unknown) => void) => events.down.mockImplementation(told));
    pollingTransport({ rest: createRest({ api: () => gone, key: () => null }) }).open(events);
    await expect(down).resolves.toMatchObject({ kind: 'network' });
  });

  it('leaves a server alone for as long as it asked for, health aside', async () => {
    let now = 1_000_000;
    const paths: string[] = [];
    const limited = (path: string): Response =>
      path === '/api/health'
        ? Response.json({ status: 'ok' })
        : Response.json({ error: { message: 'Too many requests', code: 'rate_limited' } }, { status: 429, headers: { 'Retry-After': '30' } });
    const fetch = async (url: unknown): Promise<Response> => {
      paths.push(String(url));
      return limited(String(url));
    };
    const rest = createRest({ api: () => '', key: () => null, fetch: fetch as typeof globalThis.fetch, now: () => now });
    await expect(rest.get('/api/pnl/history')).rejects.toMatchObject({ status: 429, retryAfterMs: 30_000 });
    now += 29_000;
    await expect(rest.get('/api/pnl/current')).rejects.toMatchObject({ status: 429, message: 'Too many requests', retryAfterMs: 1_000 });
    await expect(rest.text('/metrics')).rejects.toMatchObject({ status: 429 });
    expect(await rest.plain('/api/health')).toEqual({ status: 'ok' });
    expect(paths).toEqual(['/api/pnl/history', '/api/health']);
    now += 1_000;
    await expect(rest.get('/api/pnl/current')).rejects.toMatchObject({ status: 429 });
    expect(paths).toHaveLength(3);
  });

  it('asks at once with another key, and takes too many wrong ones for a wrong one', async () => {
    let key = 'wrong';
    const refused = { error: { message: 'Too many wrong API keys', code: 'too_many_wrong_keys' } };
    const fetch = async (_url: unknown, init?: RequestInit): Promise<Response> =>
      new Headers(init?.headers).get('X-API-Key') === 'right' ? Response.json({ data: 7 }) : Response.json(refused, { status: 429, headers: { 'Retry-After': '60' } });
    const rest = createRest({ api: () => '', key: () => key, fetch: fetch as typeof globalThis.fetch });
    await expect(rest.get('/api/pnl/current')).rejects.toMatchObject({ needsKey: true, retryAfterMs: 60_000 });
    key = 'right';
    expect(await rest.get('/api/pnl/current')).toBe(7);
  });

  it('understands a Retry-After that is a date', async () => {
    const fetch = async (): Promise<Response> => new Response('{}', { status: 503, headers: { 'Retry-After': 'Wed, 25 Feb 2026 22:24:30 GMT' } });
    const rest = createRest({ api: () => '', key: () => null, fetch, now: () => Date.UTC(2026, 1, 25, 22, 24) });
    await expect(rest.get('/x')).rejects.toMatchObject({ status: 503, retryAfterMs: 30_000 });
  });
});
