// Requests to the server: who asks, what every unsafe one carries, and failures in words.

/** Longer than any answer but that of a power verb takes. */
const ANSWER_MS = 20000;
const KEY = 'breakglass.key';

/** A request that led to no good answer. `status` 0: no answer came at all, so what it did is unknown. */
export class Failure extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {any} [body]
   */
  constructor(status, message, body = null) {
    super(message);
    this.status = status;
    this.body = body;
  }

  /** The request may or may not have been carried out. */
  get isUnknown() {
    return this.status === 0 || this.status === 502 || this.status === 504;
  }

  get isSignedOut() {
    return this.status === 401;
  }
}

/** The bearer key lives as long as the tab; a password manager keeps it longer. */
export const credential = {
  get key() {
    return sessionStorage.getItem(KEY) ?? '';
  },
  /** @param {string} value */
  set key(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  },
};

/**
 * `fetch`, with the key when there is one.
 * @param {string} url
 * @param {RequestInit} options
 */
export function authorized(url, options) {
  const headers = new Headers(options.headers);
  if (credential.key) headers.set('Authorization', `Bearer ${credential.key}`);
  return fetch(url, { ...options, headers });
}

/**
 * A JSON request, answered by the parsed body.
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, key?: string | undefined, ms?: number, wait?: number | undefined }} [more] `key` is the
 *   Idempotency-Key, `wait` the seconds that the server may take to see an end.
 * @returns {Promise<any>}
 */
export async function call(method, path, { body, key, ms = ANSWER_MS, wait } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json' };
  if (method !== 'GET') {
    headers['Content-Type'] = 'application/json';
    headers['X-Breakglass'] = '1';
  }
  if (key) headers['Idempotency-Key'] = key;
  if (wait) headers.Prefer = `wait=${wait}`;
  /** @type {RequestInit} */
  const options = { method, headers, cache: 'no-store', redirect: 'manual', signal: AbortSignal.timeout(ms) };
  if (method !== 'GET' && method !== 'DELETE') options.body = JSON.stringify(body ?? {});
  let response;
  let text;
  try {
    response = await authorized(path, options);
    text = response.type === 'opaqueredirect' ? '' : await response.text();
  } catch (error) {
    const late = error instanceof DOMException && error.name === 'TimeoutError';
    throw new Failure(0, late ? 'The server did not answer in time.' : 'The server cannot be reached.');
  }
  if (response.type === 'opaqueredirect') throw new Failure(401, 'Signed out.');
  const parsed = parse(text);
  if (response.ok && (parsed !== undefined || text === '')) return parsed ?? null;
  if (response.ok) throw new Failure(401, 'Something in between answered instead of the server. Signed out?');
  throw new Failure(response.status, detail(response.status, parsed), parsed);
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * @param {number} status
 * @param {any} body
 */
function detail(status, body) {
  const told = body?.detail;
  if (typeof told === 'string' && told) return told.endsWith('.') ? told : `${told}.`;
  if (Array.isArray(told) && told[0]?.msg) return `${told[0].msg}.`;
  if (status === 401) return 'Signed out.';
  if (status === 403) return 'You may not do this.';
  return `The server answered ${status}.`;
}

/** A fresh Idempotency-Key; `randomUUID` exists only in a secure context. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
