/** A page as it is written for one server: the default store, told where the server is. */

import { useEffect, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { configurePnLStore, useLastUpdate, usePnLComponents, usePnLConnection, usePnLMetrics, usePnLSocket } from 'pnl-client';

const query = new URLSearchParams(location.search);
configurePnLStore({ apiUrl: query.get('url') ?? '' });

function Page(): ReactElement {
  const { initSocket, disconnect } = usePnLSocket();
  const { epoch, seq, netPnL } = usePnLMetrics();
  const { kalshi } = usePnLComponents();
  const { connected, error } = usePnLConnection();
  const lastUpdate = useLastUpdate();
  useEffect(() => {
    void initSocket({ apiKey: query.get('key') ?? '' });
    return disconnect;
  }, [initSocket, disconnect]);
  return (
    <>
      <p data-testid="figures">{JSON.stringify({ epoch, seq, netPnL })}</p>
      <p data-testid="state">{[connected, error, Number.isFinite(kalshi.balance), lastUpdate !== null].join(' ')}</p>
    </>
  );
}

const root = document.getElementById('root');
if (root !== null) createRoot(root).render(<Page />);
