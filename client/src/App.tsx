/** The frame around the pages: ribbon, header, banners, dialogs. */

import { useEffect, useState, type ReactElement } from 'react';
import { hasFigures, usePnLMetrics, usePnLSocket, usePnLStore } from 'pnl-client';
import { Boundary } from './components/Boundary';
import { Banners, ConnectionBadge, ConnectionVoice } from './components/Connection';
import { Logo, SettingsIcon } from './components/Icons';
import { KeyPrompt } from './components/KeyPrompt';
import { Settings } from './components/Settings';
import { pageSystem } from './lib/pageSystem';
import { useFormatter } from './lib/preferences';
import { useRoute, type Route } from './lib/route';
import { useVerdict } from './lib/useVerdict';
import { Overview } from './pages/Overview';
import { System } from './pages/System';

const ROUTES: readonly (readonly [Route, string, string])[] = [
  ['overview', '#/', 'Overview'],
  ['system', '#/system', 'System'],
];

export function App(): ReactElement {
  const route = useRoute();
  useConnection();
  useSystem(route === 'system');
  return (
    <>
      <Boundary name="The title of the tab">
        <TabTitle />
      </Boundary>
      <DemoRibbon />
      <div className="page">
        <Boundary name="The header">
          <Header route={route} />
          <ConnectionVoice />
        </Boundary>
        <Boundary name="The notices">
          <Banners />
        </Boundary>
        <main>{route === 'system' ? <System /> : <Overview />}</main>
      </div>
      <KeyDialog />
    </>
  );
}

function DemoRibbon(): ReactElement | null {
  const simulated = usePnLStore((state) => state.pnl.simulated === true);
  if (!simulated) return null;
  return (
    <aside className="demo" aria-label="Demo" data-testid="demo">
      <strong>DEMO</strong> Simulated figures, no real account
    </aside>
  );
}

function Header({ route }: { route: Route }): ReactElement {
  const [open, setOpen] = useState(false);
  return (
    <header className="header">
      <a className="brand" href="#/" aria-label="P&L, overview">
        <Logo />
        <span className="brand-name">P&amp;L</span>
      </a>
      <nav className="nav" aria-label="Pages">
        {ROUTES.map(([name, href, words]) => (
          <a key={name} href={href} aria-current={name === route ? 'page' : undefined}>
            {words}
          </a>
        ))}
      </nav>
      <div className="header-end">
        <ConnectionBadge />
        <button type="button" className="button is-icon" aria-label="Settings" onClick={() => setOpen(true)}>
          <SettingsIcon />
        </button>
      </div>
      {open && <Settings onClose={() => setOpen(false)} />}
    </header>
  );
}

/** Stays open while a key is tried, so that the answer is shown where the key was entered. */
function KeyDialog(): ReactElement | null {
  const wanted = usePnLStore((state) => state.keyWanted);
  const connecting = usePnLStore((state) => state.link.phase === 'connecting');
  const [dismissed, setDismissed] = useState(false);
  const [tried, setTried] = useState(false);
  useEffect(() => setDismissed(false), [wanted]);
  useEffect(() => {
    if (wanted === null && !connecting) setTried(false);
  }, [wanted, connecting]);
  if (wanted === null && !(tried && connecting)) return null;
  if (!dismissed) return <KeyPrompt onTry={() => setTried(true)} onClose={() => setDismissed(true)} />;
  return (
    <button type="button" className="button is-primary key-again" onClick={() => setDismissed(false)}>
      Enter a key
    </button>
  );
}

/** The net figure in the tab's title; before it the state, with a grey icon, when figures are not live. */
function TabTitle(): null {
  const format = useFormatter();
  const pnl = usePnLMetrics();
  const { word, dim } = useVerdict();
  const figure = hasFigures(pnl) ? `${format.money(pnl.netPnL)} · ` : '';
  useEffect(() => {
    document.title = `${dim ? `${word} · ` : ''}${figure}P&L`;
    document.querySelector('link[rel=icon]')?.setAttribute('href', dim ? '/icon-offline.svg' : '/icon.svg');
  }, [figure, word, dim]);
  return null;
}

/** Connects while the page is open, and tries again at once when the network is back or the page becomes visible. */
function useConnection(): void {
  const { initSocket, disconnect } = usePnLSocket();
  const retryNow = usePnLStore((state) => state.retryNow);
  useEffect(() => {
    void initSocket();
    const seen = (): void => {
      if (document.visibilityState === 'visible') retryNow();
    };
    window.addEventListener('online', retryNow);
    document.addEventListener('visibilitychange', seen);
    return () => {
      window.removeEventListener('online', retryNow);
      document.removeEventListener('visibilitychange', seen);
      disconnect();
    };
  }, [initSocket, disconnect, retryNow]);
}

/**
 * Breakers are on both pages, so they are read on both, while the page is visible and when the error of a source
 * changes; the rest only where it is shown.
 */
function useSystem(whole: boolean): void {
  const connected = usePnLStore((state) => state.connected);
  const errors = usePnLStore(({ pnl }) => Object.values(pnl.sources).map(({ error }) => error).join());
  useEffect(() => (connected ? pageSystem().subscribe(whole) : undefined), [connected, whole]);
  useEffect(() => pageSystem().readSoon(), [errors]);
}
