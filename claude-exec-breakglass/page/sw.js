// Keeps the page's own files, and nothing else, so that it opens while the edge is half dead. What the server says is
// never kept: no answer of /api, no stream.

const BUILD = 'development';
/** @type {string[]} The server puts the names of this build's files here. */
const SHELL = ['/', '/app.css'];

const NAME = `shell-${BUILD}`;
const worker = /** @type {any} */ (self);

worker.addEventListener('install', (/** @type {any} */ event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(NAME);
    await cache.addAll(SHELL.map((url) => new Request(url, { cache: 'reload' })));
    await worker.skipWaiting();
  })());
});

worker.addEventListener('activate', (/** @type {any} */ event) => {
  event.waitUntil((async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith('shell-') && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await worker.clients.claim();
  })());
});

worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const url = new URL(event.request.url);
  // A query is for the proxy in front: /?signin has to reach it.
  const ours = event.request.method === 'GET' && url.origin === worker.location.origin && !url.search && SHELL.includes(url.pathname);
  if (!ours) return;
  event.respondWith((async () => (await (await caches.open(NAME)).match(url.pathname)) ?? fetch(event.request))());
});
