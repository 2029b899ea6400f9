/** Where the server is: the address that served the page, or what a separately hosted build was given. */

export interface BuildSettings {
  readonly VITE_WS_URL?: string;
  readonly VITE_WS_SECURE?: string;
  readonly VITE_API_URL?: string;
}

export interface Endpoints {
  /** Origin before `/api/...`, without a trailing slash. */
  readonly api: string;
  /** Origin of Socket.IO, without a path. */
  readonly socket: string;
}

/** `VITE_API_URL` may end in `/api`, `VITE_WS_URL` may carry a scheme and a path: both did in the older dashboards. */
export function endpoints(settings: BuildSettings, origin: string): Endpoints {
  const api = (settings.VITE_API_URL ?? '').replace(/\/+$/, '').replace(/\/api$/, '') || origin;
  const given = settings.VITE_WS_URL ?? '';
  if (given === '') return { api, socket: settings.VITE_API_URL ? new URL(api).origin : origin };
  const secure = isOn(settings.VITE_WS_SECURE) || /^(wss|https):/.test(given);
  const host = given.replace(/^\w+:\/\//, '').replace(/\/.*$/, '');
  return { api: settings.VITE_API_URL ? api : `${secure ? 'https' : 'http'}://${host}`, socket: `${secure ? 'https' : 'http'}://${host}` };
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false', 'no', 'off'].includes(value.toLowerCase());
}
