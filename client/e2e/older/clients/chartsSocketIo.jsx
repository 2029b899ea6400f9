/** The same charts where a network lets no WebSocket pass: Socket.IO brings the same message, by long polling if it must. */

import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { io } from 'socket.io-client';
import { Board } from './board';

function Page() {
  const [message, setMessage] = useState(null);
  useEffect(() => {
    const socket = io('http://localhost:8080');
    socket.on('connect', () => socket.emit('subscribe_dashboard'));
    socket.on('pnl-update', (update) => setMessage(update));
    return () => socket.disconnect();
  }, []);
  return <Board figures={message} trends={message?.trendsData} costs={message?.costBreakdown} agents={message?.agentAttribution} />;
}

createRoot(document.getElementById('root')).render(<Page />);
