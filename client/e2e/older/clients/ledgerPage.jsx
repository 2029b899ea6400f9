/** A page of the older kind: the ledger over a plain WebSocket, else as events, else polled, each message taken for the state. */

import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const POLL_MS = 30_000;
const RETRY_MS = 1_000;

/** Spreads a delta over what is shown. */
function openSocket(setLedger) {
  const socket = new WebSocket('ws://localhost:8080');
  let opened = false;
  socket.onopen = () => {
    opened = true;
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === 'snapshot') setLedger(message.data);
    if (message.type === 'delta') setLedger((ledger) => ({ ...ledger, ...message.data }));
  };
  socket.onclose = () => setTimeout(opened ? openSocket : openEvents, RETRY_MS, setLedger);
}

/** Takes each event for the whole ledger; connects again as EventSource does by itself. */
function openEvents(setLedger) {
  const events = new EventSource('/api/pnl/stream');
  events.onmessage = (event) => setLedger(JSON.parse(event.data));
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) poll(setLedger);
  };
}

/** Takes the answer for the ledger. */
async function poll(setLedger) {
  const response = await fetch('/api/pnl/current');
  if (response.ok) setLedger(await response.json());
  setTimeout(poll, POLL_MS, setLedger);
}

function Page() {
  const [ledger, setLedger] = useState(null);
  useEffect(() => openSocket(setLedger), []);
  if (ledger === null) return <p>Loading</p>;
  const { netPnL, breakdown, components, timestamp } = ledger;
  return (
    <p className="ledger">
      Net {netPnL.toFixed(2)} of trades {breakdown.trades.toFixed(2)} revenue {breakdown.revenue.toFixed(2)} costs {breakdown.costs.toFixed(2)}, {components.recentDeals} deals, {new Date(timestamp).getTime()}
    </p>
  );
}

createRoot(document.getElementById('root')).render(<Page />);
