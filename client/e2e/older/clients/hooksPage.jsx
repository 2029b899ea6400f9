/** A page of the older kind: everything by the hooks of the store, without a word of where the server is. */

import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { useLastUpdate, usePnLComponents, usePnLConnection, usePnLMetrics, usePnLSocket } from '../../../src/pnlStore';

function Page() {
  const { initSocket } = usePnLSocket();
  const { netPnL, calculatedAt } = usePnLMetrics();
  const { kalshi } = usePnLComponents();
  const { error } = usePnLConnection();
  const lastUpdate = useLastUpdate();
  useEffect(() => void initSocket(), [initSocket]);
  if (calculatedAt === null) return <p>Loading</p>;
  return (
    <>
      <p className="metrics">{`Net ${netPnL.toFixed(2)} with ${kalshi.positions} positions at ${lastUpdate}`}</p>
      <p role="alert">{error}</p>
    </>
  );
}

createRoot(document.getElementById('root')).render(<Page />);
