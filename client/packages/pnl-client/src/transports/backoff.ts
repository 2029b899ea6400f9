/** How long to wait before trying again: 1, 2, 5, 10, then 30 s, varied so that clients do not reconnect all at once. */

export const DELAYS_MS: readonly number[] = [1_000, 2_000, 5_000, 10_000, 30_000];

/** `random` is uniform in [0, 1); the wait is spread by a fifth to either side. */
export function backoff(attempt: number, random: number): number {
  const base = DELAYS_MS[Math.min(attempt, DELAYS_MS.length - 1)] as number;
  return Math.round(base * (0.8 + 0.4 * random));
}
