/** The server's address: the page's own origin, or the one that the application sets. */

/** Each may be left out. */
export interface ServerSettings {
  /** Origin of the REST routes; `/api` may follow it. */
  readonly apiUrl?: string | undefined;
  /** Where Socket.IO is, when that is another place; may carry a scheme and a path. */
  readonly wsUrl?: string | undefined;
  /** Whether `wsUrl` uses TLS, where its scheme leaves it open: true, or a text other than `false`, `0`, `no`, `off`. */
  readonly wsSecure?: boolean | string | undefined;
}

export interface Endpoints {
  /** Origin before `/api/...`, without a trailing slash. */
  readonly api: string;
  /** Origin of Socket.IO, without a path. */
  readonly socket: string;
}

export interface ServerAddress {
  /** Throws once the address has been used. */
  configure: (settings: ServerSettings) => void;
  get: () => Endpoints;
}

const DEFAULT_ORIGIN = 'http://localhost:3000';

/** The origin of the page, if there is one; a page from a file has the text `null`. */
export const pageOrigin = (): string | undefined => globalThis.location?.origin;

/** `origin`: that of the page. */
export function serverAddress(origin: string | undefined): ServerAddress {
  let settings: ServerSettings = {};
  let used: Endpoints | null = null;
  return {
    configure(given) {
      if (used !== null) throw new Error('configurePnLStore has to be called before the store is first used');
      settings = given;
    },
    get: () => (used ??= endpoints(settings, origin)),
  };
}

/**
 * `apiUrl` may end in `/api` and may be a path on the page's own host, `wsUrl` may carry a scheme and a path: the older
 * dashboards had such. Throws when `apiUrl` is no address.
 */
export function endpoints({ apiUrl = '', wsUrl = '', wsSecure }: ServerSettings, pageOrigin: string | undefined): Endpoints {
  const origin = pageOrigin === undefined || pageOrigin === 'null' ? DEFAULT_ORIGIN : pageOrigin;
  const given = apiUrl.replace(/\/+$/, '').replace(/\/api$/, '');
  const api = given === '' || given.startsWith('/') ? origin + given : given;
  if (apiUrl !== '' && !/^https?:\/\/[^/]/.test(api)) throw new Error(`apiUrl has to begin with http://, https:// or a slash, unlike "${apiUrl}"`);
  if (wsUrl === '') return { api, socket: apiUrl === '' ? origin : new URL(api).origin };
  const secure = isOn(wsSecure) || /^(wss|https):/.test(wsUrl);
  const host = wsUrl.replace(/^\w+:\/\//, '').replace(/\/.*$/, '');
  const socket = `${secure ? 'https' : 'http'}://${host}`;
  return { api: apiUrl === '' ? socket : api, socket };
}

function isOn(value: boolean | string | undefined): boolean {
  return typeof value === 'string' ? !['', '0', 'false', 'no', 'off'].includes(value.toLowerCase()) : value === true;
}
