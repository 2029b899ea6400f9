/** A program of the older kind: subscribes once, when the page begins, and prints what comes. */

import { io } from 'socket.io-client';

const socket = io('http://localhost:3000', { auth: { apiKey: 'your-api-key' } });
socket.on('connect_success', ({ message }) => console.log(message));
socket.on('pnl_update', ({ data: { netPnL, seq }, source }) => console.log(`Net ${netPnL.toFixed(2)} ${seq} ${source}`));
socket.on('components_update', ({ data: { kalshi, anthropic, johns } }) => console.log(`Parts ${kalshi.pnl} ${anthropic.dailySpend} ${johns.collected}`));
socket.on('error', ({ message }) => console.error(message));
socket.on('stream_error', ({ message }) => console.error(message));
socket.emit('subscribe_pnl');
socket.emit('subscribe_components');
