// One attachment to a session's events over fetch: its own cursor, watchdog, back-off and dedupe.
//
// The state is derived from the last byte that really came, never from what a socket claims to be.

import { SseParser } from './sse.js';
import { behind, judge } from './cursor.js';

/** Until `hello` names the server's own interval. */
const DEFAULT_HEARTBEAT_S = 15;
/** A stream with no byte, not even a comment, for so many heartbeats is dead. */
const SILENT_HEARTBEATS = 2.5;
/** Longer than any answer's first byte takes; a fetch has no time limit of its own. */
const CONNECT_MS = 10000;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_MOST_MS = 5000;

/**
 * @typedef {'connecting' | 'catching_up' | 'live' | 'reconnecting' | 'offline' | 'signed_out' | 'forbidden'
 *   | 'draining' | 'parked' | 'ended' | 'gone'} Phase
 * @typedef {{ phase: Phase, attempt: number, nextAt: number | null, behind: number, reason: string }} Link
 * @typedef {{ now: () => number, random: () => number, set: (run: () => void, ms: number) => any,
 *   clear: (timer: any) => void }} Clock
 * @typedef {{ epoch: number, first: string, head: string, resume: string, from: string | null,
 *   heartbeat_s: number, turn: string, build?: string }} Hello
 * @typedef {{
 *   url: string,
 *   cursor: string | null,
 *   fetch: (url: string, options: RequestInit) => Promise<Response>,
 *   clock: Clock,
 *   online: () => boolean,
 *   hello: (hello: Hello) => void,
 *   event: (type: string, data: any, id: string) => void,
 *   link: (link: Link) => void,
 * }} StreamOptions
 */

export class Stream {
  /** @param {StreamOptions} options */
  constructor(options) {
    this.options = options;
    this.cursor = options.cursor;
    /** @type {string | null} The newest id the server has told of. */
    this.head = null;
    this.heartbeatMs = DEFAULT_HEARTBEAT_S * 1000;
    this.attempt = 0;
    /** The place of the last jump: the second at the same place is the server's word, not a lost event. */
    /** @type {string | null} */
    this.jumpedAt = null;
    /** Each connection has a number; what an older one still says is ignored. */
    this.connection = 0;
    /** @type {AbortController | null} */
    this.abort = null;
    /** @type {any} */
    this.timer = null;
    /** @type {Link} */
    this.state = { phase: 'parked', attempt: 0, nextAt: null, behind: 0, reason: '' };
    this.lastByteAt = 0;
  }

  /** Connects now, whatever it waited for. An open and lively connection stays. */
  open() {
    const { phase } = this.state;
    const lively = this.options.clock.now() - this.lastByteAt < this.heartbeatMs * 1.2;
    if (phase === 'connecting' || ((phase === 'live' || phase === 'catching_up') && lively)) return;
    this.connect();
  }

  /**
   * Lets go of the connection and stays where it is until `open`.
   * @param {Phase} [phase]
   * @param {string} [reason]
   */
  park(phase = 'parked', reason = '') {
    this.drop();
    this.tell(phase, { reason });
  }

  /** Lets go of the connection for good, and says nothing of it. */
  close() {
    this.drop();
    this.options.link = () => {};
  }

  drop() {
    this.connection += 1;
    this.options.clock.clear(this.timer);
    this.timer = null;
    this.abort?.abort();
    this.abort = null;
  }

  /**
   * @param {Phase} phase
   * @param {Partial<Link>} [rest]
   */
  tell(phase, rest = {}) {
    this.state = { phase, attempt: this.attempt, nextAt: null, behind: 0, reason: '', ...rest };
    this.options.link(this.state);
  }

  /** @returns {Promise<void>} */
  async connect() {
    this.drop();
    const connection = this.connection;
    const current = () => connection === this.connection;
    const abort = new AbortController();
    this.abort = abort;
    if (this.attempt === 0) this.tell('connecting');
    this.watch(CONNECT_MS);
    try {
      /** @type {Record<string, string>} */
      const headers = { Accept: 'text/event-stream' };
      if (this.cursor !== null) headers['Last-Event-ID'] = this.cursor;
      const response = await this.options.fetch(this.options.url, {
        headers,
        signal: abort.signal,
        cache: 'no-store',
        redirect: 'manual', // a login page is not a stream
      });
      if (!current()) return;
      const refused = refusal(response);
      if (refused === 'retry') return this.again(`the server answered ${response.status}`);
      if (refused === 'stale') {
        // Not a place in this log: start over without it, once.
        if (this.cursor === null) return this.park('gone');
        this.cursor = null;
        return this.connect();
      }
      if (refused) return this.park(refused);
      await this.read(response, current);
      if (current()) this.again('the stream ended');
    } catch (error) {
      if (current()) this.again(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * @param {Response} response
   * @param {() => boolean} current
   */
  async read(response, current) {
    const parser = new SseParser();
    const decoder = new TextDecoder();
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    this.heard();
    for (;;) {
      const { done, value } = await reader.read();
      if (!current()) return;
      if (done) return;
      this.heard();
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        this.take(event.type, event.data, event.id);
        if (!current()) return;
      }
    }
  }

  heard() {
    this.lastByteAt = this.options.clock.now();
    this.watch(this.heartbeatMs * SILENT_HEARTBEATS);
  }

  /** @param {number} ms */
  watch(ms) {
    this.options.clock.clear(this.timer);
    this.timer = this.options.clock.set(() => this.again('nothing was heard'), ms);
  }

  /**
   * @param {string} type
   * @param {string} text
   * @param {string} id
   */
  take(type, text, id) {
    /** @type {any} */
    let data;
    try {
      data = JSON.parse(text);
    } catch {
      return; // an event of another make
    }
    if (type === 'hello') {
      this.attempt = 0;
      this.head = data.head;
      if (data.heartbeat_s > 0) this.heartbeatMs = data.heartbeat_s * 1000;
      this.heard();
      this.options.hello(data);
      return this.progress();
    }
    if (type === 'end') return this.park('ended');
    if (type === 'bye') {
      if (data.reason === 'auth') return this.park('signed_out');
      if (data.reason === 'cut') return void this.connect();
      return this.again('', 'draining');
    }
    if (type === 'gap') return this.options.event(type, data, '');
    if (type === 'snapshot') {
      this.cursor = data.id;
      this.jumpedAt = null;
      this.options.event(type, data, data.id);
      return this.progress();
    }
    const verdict = judge(this.cursor, id);
    if (verdict === 'drop') return;
    if (verdict === 'jump' && this.jumpedAt !== this.cursor) {
      this.jumpedAt = this.cursor;
      return this.again('an event is missing');
    }
    if (verdict === 'jump') this.options.event('jump', { from: this.cursor, to: id }, '');
    if (verdict !== 'free') this.cursor = id;
    this.options.event(type, data, id);
    this.progress();
  }

  progress() {
    const left = behind(this.cursor, this.head);
    const phase = left > 0 ? 'catching_up' : 'live';
    if (phase === this.state.phase && left === this.state.behind) return;
    this.tell(phase, { behind: left });
  }

  /**
   * @param {string} reason
   * @param {Phase} [phase]
   */
  again(reason, phase = 'reconnecting') {
    this.drop();
    this.attempt += 1;
    const { clock } = this.options;
    const most = Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** (this.attempt - 1));
    const wait = Math.max(50, clock.random() * most); // full jitter: a restart does not meet everyone at once
    const shown = this.options.online() ? phase : 'offline';
    this.tell(shown, { nextAt: clock.now() + wait, reason });
    this.timer = clock.set(() => this.connect(), wait);
  }
}

/**
 * Why this answer is no stream: a phase to stay in, `retry`, `stale` (the cursor is refused), or null when it is one.
 * @param {Response} response
 * @returns {Phase | 'retry' | 'stale' | null}
 */
export function refusal(response) {
  if (response.type === 'opaqueredirect') return 'signed_out';
  switch (response.status) {
    case 200:
      // A proxy's login page also says 200.
      return (response.headers.get('content-type') ?? '').startsWith('text/event-stream') ? null : 'signed_out';
    case 204:
      return 'ended';
    case 400:
      return 'stale';
    case 401:
      return 'signed_out';
    case 403:
      return 'forbidden';
    case 404:
    case 410:
      return 'gone';
    default:
      return 'retry';
  }
}
