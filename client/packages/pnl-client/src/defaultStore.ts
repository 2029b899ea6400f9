/** The store of a page that shows one server: the instance that the hooks read unless they are given another. */

import { pageOrigin, serverAddress, type ServerSettings } from './address.js';
import { storeAt, type PnLStore } from './createStore.js';
import { DEFAULT_NAME } from './store/persist.js';

const address = serverAddress(pageOrigin());

/** Sets the server's address of `pnlStore`, before the store is first used; by default it is the page's own origin, or `http://localhost:3000`. */
export const configurePnLStore = (settings: ServerSettings): void => address.configure(settings);

export const pnlStore: PnLStore = storeAt(address.get, { name: DEFAULT_NAME });
