/** Two servers side by side, each with a key and a store of its own. */

import { StrictMode, useEffect, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';
import { createPnLStore, usePnLConnection, usePnLMetrics, usePnLSocket, usePnLStore, type PnLStore } from 'pnl-client';

const query = new URLSearchParams(location.search);
const storeOf = (name: string): PnLStore => createPnLStore({ name, apiUrl: query.get(`${name}-url`) ?? '', apiKey: query.get(`${name}-key`) ?? '' });
const stores = { left: storeOf('left'), right: storeOf('right') };

function Desk({ name, store }: { name: string; store: PnLStore }): ReactElement {
  const { initSocket, disconnect } = usePnLSocket(store);
  const { epoch, seq, netPnL } = usePnLMetrics(store);
  const { connected } = usePnLConnection(store);
  const refused = usePnLStore((state) => state.keyWanted, store);
  useEffect(() => {
    void initSocket();
    return disconnect;
  }, [initSocket, disconnect]);
  return (
    <section>
      <p data-testid={`${name}-figures`}>{JSON.stringify({ epoch, seq, netPnL })}</p>
      <p data-testid={`${name}-state`}>{[connected, refused].join(' ')}</p>
      <button type="button" data-testid={`${name}-stop`} onClick={disconnect}>
        Disconnect
      </button>
    </section>
  );
}

const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      {Object.entries(stores).map(([name, store]) => (
        <Desk key={name} name={name} store={store} />
      ))}
    </StrictMode>,
  );
}
