import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoff, DELAYS_MS } from '../src/transports/backoff.js';
import { Ladder, type LadderState } from '../src/transports/ladder.js';
import { ladderOfFakes } from './fixtures.js';

const nothing = { snapshot: vi.fn(), components: vi.fn(), dashboard: vi.fn(), ledger: vi.fn(), missed: vi.fn(), fault: vi.fn() };

function climb(): ReturnType<typeof ladderOfFakes> & { ladder: Ladder; state: () => LadderState; ups: string[] } {
  const fakes = ladderOfFakes();
  const ups: string[] = [];
  let last: LadderState = { rung: null, phase: 'stopped', nextTryAt: null, reason: null };
  const ladder = new Ladder({
    transports: fakes.list,
    events: nothing,
    onState: (state) => (last = state),
    onUp: (rung) => ups.push(rung),
    random: () => 0.5,
  });
  ladder.start();
  return { ...fakes, ladder, state: () => last, ups };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('backoff', () => {
  it('waits 1, 2, 5, 10, then 30 s', () => {
    expect([0, 1, 2, 3, 4, 5, 50].map((attempt) => backoff(attempt, 0.5))).toEqual([1_000, 2_000, 5_000, 10_000, 30_000, 30_000, 30_000]);
  });

  it('is spread by a fifth to either side', () => {
    for (const [attempt, base] of DELAYS_MS.entries()) {
      expect(backoff(attempt, 0)).toBe(base * 0.8);
      expect(backoff(attempt, 0.999_999)).toBeCloseTo(base * 1.2, -1);
    }
  });
});

describe('the ladder', () => {
  it('opens the best transport and no other', () => {
    const { websocket, sse, state } = climb();
    expect(state().phase).toBe('connecting');
    websocket.up();
    expect(state()).toMatchObject({ phase: 'up', rung: 'websocket', nextTryAt: null });
    expect(sse.opened).toBe(0);
  });

  it('steps down rung by rung, then waits offline', () => {
    const { websocket, sse, polling, state } = climb();
    websocket.fail('no websocket');
    expect(sse.opened).toBe(1);
    sse.fail();
    polling.fail('no server');
    expect(state()).toMatchObject({ phase: 'waiting', rung: null, reason: 'no server' });
    expect(state().nextTryAt).toBe(Date.now() + 1_000);
  });

  it('tries again after 1, 2, 5, 10, 30, 30 s', () => {
    const { websocket, sse, polling, state } = climb();
    const waits: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      for (const transport of [websocket, sse, polling]) transport.fail();
      const wait = (state().nextTryAt ?? 0) - Date.now();
      waits.push(wait);
      const before = websocket.opened;
      vi.advanceTimersByTime(wait - 1);
      expect(websocket.opened).toBe(before);
      vi.advanceTimersByTime(1);
      expect(websocket.opened).toBe(before + 1);
    }
    expect(waits).toEqual([1_000, 2_000, 5_000, 10_000, 30_000, 30_000]);
  });

  it('gives up on a transport that says nothing', () => {
    const { sse } = climb();
    vi.advanceTimersByTime(6_000);
    expect(sse.opened).toBe(1);
  });

  it('climbs back up without leaving the rung it stands on', () => {
    const { websocket, sse, polling, state, ups } = climb();
    websocket.fail();
    sse.up(false);
    expect(state()).toMatchObject({ phase: 'up', rung: 'sse' });
    vi.advanceTimersByTime(1_000);
    expect(websocket.opened).toBe(2);
    expect(sse.events).not.toBeNull();
    websocket.fail();
    expect(state()).toMatchObject({ phase: 'up', rung: 'sse' });
    vi.advanceTimersByTime(2_000);
    websocket.up();
    expect(state()).toMatchObject({ rung: 'websocket' });
    expect(sse.events).toBeNull();
    expect(ups).toEqual(['sse', 'websocket']);
    expect(polling.opened).toBe(0);
  });

  it('looks at every better rung from polling', () => {
    const { websocket, sse, polling, state } = climb();
    websocket.fail();
    sse.fail();
    polling.up(false);
    vi.advanceTimersByTime(1_000);
    websocket.fail();
    expect(sse.opened).toBe(2);
    sse.up(false);
    expect(state().rung).toBe('sse');
    expect(polling.events).toBeNull();
  });

  it('waits a second after a loss, then starts from the top', () => {
    const { websocket, sse, state } = climb();
    websocket.up();
    vi.advanceTimersByTime(60_000);
    websocket.fail('transport close');
    expect(state()).toMatchObject({ phase: 'waiting', rung: null });
    expect(sse.opened).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(websocket.opened).toBe(2);
  });

  it('does not start over for a connection that keeps breaking', () => {
    const { websocket, state } = climb();
    const waits = [1, 2, 3].map(() => {
      websocket.up();
      vi.advanceTimersByTime(500);
      websocket.fail();
      const wait = (state().nextTryAt ?? 0) - Date.now();
      vi.advanceTimersByTime(wait);
      return wait;
    });
    expect(waits).toEqual([1_000, 2_000, 5_000]);
  });

  it('waits a second after a loss, however often it has looked for a better rung meanwhile', () => {
    const { websocket, sse, state } = climb();
    websocket.fail();
    sse.up(false);
    for (const wait of [1_000, 2_000, 5_000]) {
      vi.advanceTimersByTime(wait);
      websocket.fail();
    }
    expect(state().nextTryAt).toBe(Date.now() + 10_000);
    sse.fail(); // Within the time after which a connection counts as good.
    expect(state()).toMatchObject({ phase: 'waiting', nextTryAt: Date.now() + 1_000 });
    vi.advanceTimersByTime(1_000);
    websocket.fail();
    sse.up(false);
    expect(state()).toMatchObject({ rung: 'sse', nextTryAt: Date.now() + 1_000 });
    sse.fail();
    expect(state().nextTryAt).toBe(Date.now() + 2_000);
  });

  it('keeps looking when the rung it stands on breaks during a climb', () => {
    const { websocket, sse, polling, state } = climb();
    websocket.fail();
    sse.up(false);
    vi.advanceTimersByTime(1_000);
    sse.fail();
    expect(state().phase).toBe('connecting');
    websocket.fail();
    expect(sse.opened).toBe(2);
    sse.fail();
    polling.up(false);
    expect(state().rung).toBe('polling');
  });

  it('stops at a refused key until there is another', () => {
    const { websocket, sse, ladder, state } = climb();
    websocket.fail('Invalid or missing API key', 'auth');
    expect(state()).toMatchObject({ phase: 'refused', reason: 'Invalid or missing API key' });
    vi.advanceTimersByTime(300_000);
    expect([websocket.opened, sse.opened]).toEqual([1, 0]);
    ladder.restart();
    expect(websocket.opened).toBe(2);
    websocket.up();
    expect(state().phase).toBe('up');
  });

  it('tries at once when told to, but not twice', () => {
    const { websocket, sse, polling, ladder } = climb();
    for (const transport of [websocket, sse, polling]) transport.fail();
    ladder.retryNow();
    ladder.retryNow();
    expect(websocket.opened).toBe(2);
  });

  it('is silent once stopped', () => {
    const { websocket, ladder, state } = climb();
    const { events } = websocket;
    ladder.stop();
    events?.up({ resumed: true });
    vi.advanceTimersByTime(60_000);
    expect(state().phase).toBe('stopped');
    expect(websocket.opened).toBe(1);
  });
});
