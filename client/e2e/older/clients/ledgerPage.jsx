/** A page of the older kind: the ledger over a plain WebSocket, else as events, else polled, each message taken for the state. */

import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const POLL_MS = 30_000;
const RETRY_MS = 1_000;

/** Spreads a delta over what is shown. What has worked once is tried again, else the next way. */
function openSocket(setLedger, worked = false) {
  const socket = new WebSocket('ws://localhost:8080');
  let opened = worked;
  socket.onopen = () => {
    opened = true;
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === 'snapshot') setLedger(message.data);
    if (message.type === 'delta') setLedger((ledger) => ({ ...ledger, ...message.data }));
  };
  socket.onclose = () => setTimeout(opened ? () => openSocket(setLedger, true) : () => openEvents(setLedger), RETRY_MS);
}

/** Takes each event for the whole ledger; connects again as EventSource does by itself. */
function openEvents(setLedger, worked = false) {
  const events = new EventSource('/api/pnl/stream');
  let opened = worked;
  events.onopen = () => {
    opened = true;
  };
  events.onmessage = (event) => setLedger(JSON.parse(event.data));
  events.onerror = () => {
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(opened ? () => openEvents(setLedger, true) : () => poll(setLedger), RETRY_MS);
  };
}

/** Takes the answer for the ledger. */
async function poll(setLedger) {
  setTimeout(poll, POLL_MS, setLedger);
  const response = await fetch('/api/pnl/current');
  if (response.ok) setLedger(await response.json());
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
