/** A page of the older kind: replaces its charts by what each flat message brings, over a plain WebSocket. */

import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Board } from './board';

const RETRY_MS = 1_000;

function connect(show) {
  const socket = new WebSocket('ws://localhost:8080/pnl-stream');
  socket.onmessage = (event) => show(JSON.parse(event.data));
  socket.onclose = () => setTimeout(connect, RETRY_MS, show);
}

function Page() {
  const [message, setMessage] = useState(null);
  useEffect(() => connect(setMessage), []);
  return <Board figures={message} trends={message?.trendsData} costs={message?.costBreakdown} agents={message?.agentAttribution} />;
}

createRoot(document.getElementById('root')).render(<Page />);
