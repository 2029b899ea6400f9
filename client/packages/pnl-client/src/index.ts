/** `pnl-client`: the store, its transports, and the hooks. */

export * from './vanilla.js';
export * from './hooks.js';
