/** The store under the path that it had before it was a package of its own. */

export * from 'pnl-client';
