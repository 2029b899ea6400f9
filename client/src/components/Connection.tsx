/** The state of the connection in the header, its changes for screen readers, and a banner when something is wrong. */

import type { ReactElement } from 'react';
import { useShallow } from 'zustand/shallow';
import { type PnLState, usePnLStore } from 'pnl-client';
import { duration } from '../lib/format';
import { useFormatter } from '../lib/preferences';
import { useNow } from '../lib/useNow';
import { TRANSPORT_WORDS } from '../lib/words';
import { useVerdict } from '../lib/useVerdict';
import type { Verdict } from '../lib/verdict';

export function ConnectionBadge(): ReactElement {
  const { transport, latencyMs, calculatedAt } = usePnLStore(
    useShallow(({ transport, latencyMs, pnl }: PnLState) => ({ transport, latencyMs, calculatedAt: pnl.calculatedAt })),
  );
  const { state, word, tone, ageMs } = useVerdict();
  const now = useNow();
  const age = ageMs ?? (calculatedAt === null ? null : now - calculatedAt);
  return (
    <div className="badge" data-testid="badge" data-transport={transport} data-state={state}>
      <span className={`dot is-${tone}`} aria-hidden="true" />
      <span className="badge-word">{word}</span>
      {transport !== 'offline' && <span className="soft badge-detail">{TRANSPORT_WORDS[transport]}</span>}
      {latencyMs !== null && <span className="soft badge-detail">{Math.max(1, Math.round(latencyMs))} ms</span>}
      {age !== null && <span className="soft badge-age">{duration(age)} ago</span>}
    </div>
  );
}

/** One sentence for screen readers, at each change of the badge and at no other time. */
export function ConnectionVoice(): ReactElement {
  const transport = usePnLStore((store) => store.transport);
  const { state, word } = useVerdict();
  const sentences: Record<Verdict['state'], string> = {
    live: `Connected, ${TRANSPORT_WORDS[transport].toLowerCase()}`,
    polling: `Connected, ${TRANSPORT_WORDS[transport].toLowerCase()}`,
    partly: `Connected, sources ${word}`,
    none: 'Connected, but no source is live',
    stale: 'Connected, but no updates come; the figures are old',
    offline: 'Connection lost, showing the last figures',
    refused: '',
    connecting: '',
  };
  return (
    <p className="hidden" role="status">
      {sentences[state]}
    </p>
  );
}

export function Banners(): ReactElement {
  return (
    <section aria-label="Notices">
      <OfflineBanner />
      <ErrorBanner />
      <GapBanner />
    </section>
  );
}

function OfflineBanner(): ReactElement | null {
  const lost = usePnLStore(({ link }) => link.phase === 'waiting' || (link.phase === 'connecting' && link.reason !== null));
  return lost ? <Lost /> : null;
}

function Lost(): ReactElement {
  const { link, calculatedAt, receivedAt, retryNow } = usePnLStore(
    useShallow(({ link, pnl, receivedAt, retryNow }: PnLState) => ({ link, calculatedAt: pnl.calculatedAt, receivedAt, retryNow })),
  );
  const format = useFormatter();
  const now = useNow();
  const shown =
    calculatedAt === null ? 'There are no figures to show yet' : `Showing ${receivedAt === null ? format.dateTime(calculatedAt) : format.time(calculatedAt)}`;
  const next = link.nextTryAt === null ? 'trying now' : `trying again in ${duration(link.nextTryAt - now)}`;
  return (
    <div className="banner" data-testid="offline">
      <p>
        No connection to the server. {shown}; {next}.
      </p>
      <button type="button" className="button" onClick={retryNow} disabled={link.phase !== 'waiting'}>
        Try now
      </button>
    </div>
  );
}

function ErrorBanner(): ReactElement | null {
  const error = usePnLStore((state) => (state.link.phase === 'up' ? state.error : null));
  const clearError = usePnLStore((state) => state.clearError);
  if (error === null) return null;
  return (
    <div className="banner is-loss" role="alert" data-testid="error">
      <p>{/[.!?]$/.test(error) ? error : `${error}.`} The figures on screen stay until new ones come.</p>
      <button type="button" className="button" onClick={clearError}>
        Dismiss
      </button>
    </div>
  );
}

function GapBanner(): ReactElement | null {
  const gaps = usePnLStore((state) => state.gaps);
  const dismissGaps = usePnLStore((state) => state.dismissGaps);
  const format = useFormatter();
  const [first, ...rest] = gaps;
  if (first === undefined) return null;
  const more = rest.length > 0 ? ` (and ${rest.length} more)` : '';
  return (
    <div className="banner" data-testid="gap">
      <p>
        Updates between {format.time(first.from)} and {format.time(first.to)}
        {more} could not be recovered. Totals are not affected.
      </p>
      <button type="button" className="button" onClick={dismissGaps}>
        Dismiss
      </button>
    </div>
  );
}
