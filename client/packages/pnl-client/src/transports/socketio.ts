/** The first transport: Socket.IO over a WebSocket, with the server's recovery, else replay from the last update received. */

import { io, type Socket } from 'socket.io-client';
import type { Breakdown, ComponentsUpdate, DashboardMessage, ErrorMessage, PnLUpdate, Snapshot, StreamError, SubscribeAck } from '../types/wire.js';
import type { Cursor, Down, Transport, TransportEvents } from './types.js';

/** What a server without one of the feeds answers; the page does without it. */
const UNKNOWN_EVENT = 'unknown_event';
const ACK_TIMEOUT_MS = 5_000;

export interface SocketIoOptions {
  /** Origin of the server; called when the socket is created. */
  url: () => string;
  key: () => string | null;
  /** The last update seen, once this session has seen one. */
  cursor: () => Cursor | null;
  connect?: typeof io;
}

export interface SocketIoTransport extends Transport {
  /** Created when it is first read or opened. */
  readonly socket: Socket;
}

/**
 * `Ladder` reconnects, so the library's own reconnection is off. One socket is used throughout: it holds the server's
 * `pid` and offset, which is what makes connection state recovery work.
 */
export function socketIoTransport({ url, key, cursor, connect = io }: SocketIoOptions): SocketIoTransport {
  let events: TransportEvents | null = null;
  let made: Socket | null = null;

  function make(): Socket {
    const socket = connect(url(), {
      transports: ['websocket'],
      autoConnect: false,
      reconnection: false,
      forceNew: true,
      auth: (give) => {
        const apiKey = key();
        give(apiKey === null ? { recovery: true } : { apiKey, recovery: true });
      },
    });
    addListeners(socket);
    return socket;
  }

  const socketOnce = (): Socket => (made ??= make());

  function lose(reason: Down): void {
    const listener = events;
    events = null;
    listener?.down(reason);
  }

  function subscribe(socket: Socket, listener: TransportEvents): void {
    const since = cursor();
    socket.timeout(ACK_TIMEOUT_MS).emit('subscribe_pnl', ...(since ? [{ since }] : []), (error: Error | null, ack?: SubscribeAck) => {
      if (events === listener && since !== null && (error !== null || ack?.recovered !== true)) listener.missed();
    });
    socket.emit('subscribe_components');
    socket.emit('subscribe_dashboard');
  }

  function addListeners(socket: Socket): void {
    socket.on('connect', () => {
      const listener = events;
      if (listener === null) return;
      listener.up({ resumed: true });
      if (!socket.recovered) subscribe(socket, listener);
    });
    socket.on('connect_error', (error) => lose({ kind: /api key/i.test(error.message) ? 'auth' : 'network', message: error.message }));
    socket.on('disconnect', (reason) => lose({ kind: 'network', message: reason }));
    socket.on('pnl_update', (update: PnLUpdate | null) => events?.snapshot(update?.data as Snapshot, update?.timestamp ?? ''));
    socket.on('components_update', (update: ComponentsUpdate | null) => events?.components(update?.data as Breakdown, update?.timestamp ?? ''));
    socket.on('pnl-update', (message: DashboardMessage) => events?.dashboard(message));
    socket.on('stream_error', (error: StreamError | null) => events?.fault(error?.message ?? 'The server has stopped sending updates'));
    socket.on('error', ({ code, message }: ErrorMessage) => {
      if (code !== UNKNOWN_EVENT) events?.fault(message);
    });
  }

  return {
    rung: 'websocket',
    get socket() {
      return socketOnce();
    },
    open(listener) {
      events = listener;
      socketOnce().connect();
    },
    close() {
      events = null;
      made?.disconnect();
    },
  };
}
