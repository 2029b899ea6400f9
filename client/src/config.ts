/** Where the server is: the address that served the page, or what the application was given. */

/** Each may be left out. In the dashboard's build they are `VITE_API_URL`, `VITE_WS_URL` and `VITE_WS_SECURE`. */
export interface ServerSettings {
  /** Origin of the REST routes; `/api` may stand behind it. */
  readonly apiUrl?: string | undefined;
  /** Where Socket.IO is, when that is another place; may carry a scheme and a path. */
  readonly wsUrl?: string | undefined;
  /** Whether `wsUrl` is reached over TLS, where its scheme does not say so: true, or a text other than `false`, `0`, `no`, `off`. */
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

/** `origin`: that of the page, if there is one; a page from a file has the text `null`. */
export function serverAddress(origin: string | undefined): ServerAddress {
  let settings: ServerSettings = {};
  let used: Endpoints | null = null;
  return {
    configure(given) {
      if (used !== null) throw new Error('configurePnLStore has to be called before the store is first used');
      settings = given;
    },
    get: () => (used ??= endpoints(settings, origin === undefined || origin === 'null' ? DEFAULT_ORIGIN : origin)),
  };
}

/** `apiUrl` may end in `/api`, `wsUrl` may carry a scheme and a path: both did in the older dashboards. */
export function endpoints({ apiUrl = '', wsUrl = '', wsSecure }: ServerSettings, origin: string): Endpoints {
  const api = apiUrl.replace(/\/+$/, '').replace(/\/api$/, '') || origin;
  if (wsUrl === '') return { api, socket: apiUrl === '' ? origin : new URL(api).origin };
  const secure = isOn(wsSecure) || /^(wss|https):/.test(wsUrl);
  const host = wsUrl.replace(/^\w+:\/\//, '').replace(/\/.*$/, '');
  const socket = `${secure ? 'https' : 'http'}://${host}`;
  return { api: apiUrl === '' ? socket : api, socket };
}

function isOn(value: boolean | string | undefined): boolean {
  return typeof value === 'string' ? !['', '0', 'false', 'no', 'off'].includes(value.toLowerCase()) : value === true;
}
