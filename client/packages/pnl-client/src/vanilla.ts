/** `pnl-client/vanilla`: everything but the hooks, and so without React. */

export type { Endpoints, ServerSettings } from './address.js';
export { createPnLStore, type PnLStore, type PnLStoreOptions } from './createStore.js';
export { configurePnLStore, pnlStore } from './defaultStore.js';
export { createCredentials, type Credentials, type Keeping } from './store/credentials.js';
export type { Gap } from './store/history.js';
export type { KeyValueStore } from './store/persist.js';
export type { ServerFacts } from './store/server.js';
export { shareSystem, type SharedSystem, type SharedSystemOptions, type TabChannel } from './store/sharedSystem.js';
export { furtherSources, hasFigures, knownSnapshot, knownSums, type Baseline, type InitOptions, type MaybeSnapshot, type PnLState, type SystemState } from './store/state.js';
export { RANGES, RESOLUTION_MS, type Range, type Span } from './store/trend.js';
export { createTrendStore, type TrendOptions, type TrendState, type TrendStore } from './store/trendStore.js';
export type { LadderState } from './transports/ladder.js';
export { POLL_MS, pollingTransport } from './transports/polling.js';
export { ApiError, createRest, type Rest, type RestOptions } from './transports/rest.js';
export { socketIoTransport, type SocketIoOptions, type SocketIoTransport } from './transports/socketio.js';
export { sseTransport, type SseOptions } from './transports/sse.js';
export type { Cursor, Down, Rung, Transport, TransportEvents, TransportName } from './transports/types.js';
export type * from './types/shapes.js';
export type * from './types/wire.js';
export { dateIn, isTimeZone, startOfDay } from './zone.js';
