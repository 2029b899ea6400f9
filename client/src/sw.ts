/**
 * With it the dashboard opens without a server. The page comes from the network when there is one, else from the last
 * visit; hashed assets never change, so they come from the cache; data is never cached here.
 */

interface InstallEvent extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface RequestEvent extends InstallEvent {
  request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface Worker extends EventTarget {
  skipWaiting(): Promise<void>;
  clients: { claim(): Promise<void> };
  location: Location;
}

/** Replaced by the build: the files of this version and its name. */
declare const __FILES__: readonly string[];
declare const __VERSION__: string;

const worker = globalThis as unknown as Worker;
const CACHE = `pnl-${__VERSION__}`;

worker.addEventListener('install', (event) => {
  const stored = caches.open(CACHE).then((cache) => cache.addAll(['/', ...__FILES__]));
  (event as InstallEvent).waitUntil(stored.then(() => worker.skipWaiting()));
});

worker.addEventListener('activate', (event) => {
  const tidied = caches.keys().then((names) => Promise.all(names.filter((name) => name.startsWith('pnl-') && name !== CACHE).map((name) => caches.delete(name))));
  (event as InstallEvent).waitUntil(tidied.then(() => worker.clients.claim()));
});

worker.addEventListener('fetch', (event) => {
  const { request } = event as RequestEvent;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== worker.location.origin) return;
  if (request.mode === 'navigate' && pathname === '/') (event as RequestEvent).respondWith(page(request));
  else if (__FILES__.includes(pathname)) (event as RequestEvent).respondWith(asset(request));
});

async function page(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch {
    return (await caches.match('/')) ?? Response.error();
  }
}

async function asset(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? fetch(request);
}
