// A server that speaks the page's wire, in this process, and misbehaves on command: for what a real one does only once
// a year. It serves the page's files as the crate would (`--page DIR`, written by the Rust test), or as they lie.
import { createServer } from 'node:http';
import { readFileSync, existsSync } from 'node:fs';
import { join, extname } from 'node:path';
import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';

const RAW = new URL('../../../../claude-exec-breakglass/page/', import.meta.url).pathname;
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.png': 'image/png', '.webmanifest': 'application/manifest+json' };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types breakglass-worker";
export const NOW = () => Date.now();

export class Session {
  constructor(server, options = {}) {
    this.server = server;
    this.id = options.id ?? randomUUID();
    this.name = options.name ?? '';
    this.mode = options.mode ?? 'ask';
    this.model = options.model ?? null;
    this.state = 'open';
    this.epoch = 7;
    this.first = 1;
    this.log = [];
    this.turns = 0;
    this.cost = 0;
    this.turn = 'idle';
    this.active = NOW();
    this.streams = new Set();
    this.deleted = false;
    this.keys = new Map();
  }

  get seq() { return this.first + this.log.length - 1; }
  get head() { return `${this.epoch}-${this.seq}`; }

  describe() {
    return { session_id: this.id, name: this.name, mode: this.mode, model: this.model, state: this.state, turn: this.turn, turn_n: this.turns || null, created_at: this.active, active_at: this.active, head: this.head, cost_usd: this.cost, turns: this.turns };
  }

  /** Appends to the log and sends to whoever is attached. */
  emit(event, data = {}) {
    const id = `${this.epoch}-${this.seq + 1}`;
    const entry = { id, event, data: { at: NOW(), turn: this.turns, ...data } };
    this.log.push(entry);
    if (event === 'user') this.turn = 'running';
    if (event === 'approval') this.turn = 'needs_input';
    if (event === 'decision') this.turn = 'running';
    if (event === 'turn_end') this.turn = 'idle';
    for (const stream of this.streams) stream.send(entry);
    return id;
  }

  /** Forgets the oldest events. */
  trim(count) {
    this.log.splice(0, count);
    this.first += count;
  }

  /** A new owner of the log, as after a restart. */
  newEpoch() { this.epoch += 2; }

  snapshot() {
    return { id: this.head, trimmed: this.first > 1, session: this.describe(), entries: this.log };
  }

  /** Ends every stream: `cut` (bye), `reset` (the socket), `end` (cleanly, without a word). */
  drop(how = 'end', reason = 'cut') {
    for (const stream of [...this.streams]) stream.end(how, reason);
  }

  play(script) { for (const [event, data] of script) this.emit(event, data); }
}

export class FakeServer {
  constructor(options = {}) {
    this.page = options.page ?? null;
    this.leftOut = options.leftOut ?? [];
    this.assets = this.page ? JSON.parse(readFileSync(join(this.page, 'assets.json'), 'utf8')) : null;
    this.sessions = new Map();
    this.requests = [];
    this.heartbeat = 15;
    this.build = '0.1.0';
    this.faults = { stream: [], api: null, signedOut: false, jumps: 0, torn: 0, duplicate: 0, stall: false, staticDown: false, login: null, noPower: false, withhold: 0 };
    this.vm = { ...RUNNING };
    this.outcomes = [];
    this.commits = [];
    this.prepared = new Map();
    this.operations = new Map();
    this.onPrompt = null;
    this.key = null;
  }

  async start() {
    this.http = createServer((request, response) => {
      this.handle(request, response).catch((error) => {
        response.destroy(error);
      });
    });
    this.http.keepAliveTimeout = 30000;
    await new Promise((done) => this.http.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.http.address().port}`;
    return this;
  }

  async stop() {
    this.http.closeAllConnections();
    await new Promise((done) => this.http.close(done));
  }

  session(options) {
    const session = new Session(this, options);
    this.sessions.set(session.id, session);
    return session;
  }

  static(path, request, response) {
    if (this.assets) {
      const asset = this.assets.find((one) => one.path === path);
      if (!asset) return false;
      const body = readFileSync(join(this.page, asset.file));
      for (const [name, value] of asset.headers) if (!this.leftOut.includes(name)) response.setHeader(name, value);
      response.end(body);
      return true;
    }
    const name = path === '/' ? 'index.html' : path.slice(1);
    const file = join(RAW, name);
    if (name.includes('..') || !existsSync(file) || !TYPES[extname(file)]) return false;
    response.setHeader('Content-Type', TYPES[extname(file)]);
    response.setHeader('Content-Security-Policy', POLICY);
    response.setHeader('Content-Encoding', 'gzip');
    response.setHeader('Cache-Control', 'no-cache');
    response.end(gzipSync(readFileSync(file)));
    return true;
  }

  async handle(request, response) {
    const url = new URL(request.url, this.url);
    const path = url.pathname;
    const record = { method: request.method, path, headers: request.headers, body: null };
    this.requests.push(record);
    if (!path.startsWith('/api/')) {
      if (this.faults.staticDown) return void request.socket.destroy();
      if (this.static(path, request, response)) return;
      return this.json(response, 404, { detail: 'Not Found' });
    }
    const body = await read(request);
    record.body = body;
    if (request.method !== 'GET' && (request.headers['x-breakglass'] !== '1' || request.headers['content-type'] !== 'application/json')) {
      return this.json(response, 403, { detail: 'no X-Breakglass header' });
    }
    if (this.key && request.headers.authorization !== `Bearer ${this.key}`) return this.json(response, 401, { detail: 'unauthenticated' });
    if (this.faults.signedOut) return this.json(response, 401, { detail: 'unauthenticated' });
    if (this.faults.login) {
      response.writeHead(302, { Location: this.faults.login });
      return void response.end();
    }
    if (this.faults.api) {
      const fault = this.faults.api(record);
      if (fault === 'destroy') return void request.socket.destroy();
      if (fault) return this.json(response, fault, { detail: `injected ${fault}` });
    }
    if (path.startsWith('/api/pve/')) return this.power(request, response, path, body);
    return this.sessionRoutes(request, response, url, body);
  }

  json(response, status, value) {
    response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    response.end(status === 204 ? undefined : JSON.stringify(value));
  }

  sessionRoutes(request, response, url, body) {
    const parts = url.pathname.split('/').slice(2);
    if (parts[0] !== 'sessions') return this.json(response, 404, { detail: 'Not Found' });
    if (parts.length === 1 && request.method === 'GET') return this.json(response, 200, { sessions: [...this.sessions.values()].filter((s) => !s.deleted).map((s) => s.describe()) });
    if (parts.length === 1) {
      const session = this.session({ name: body?.name, mode: body?.mode, model: body?.model });
      return this.json(response, 201, session.describe());
    }
    const session = this.sessions.get(parts[1]);
    if (!session) return this.json(response, 404, { detail: 'session not found' });
    if (session.deleted) return this.json(response, 410, { detail: 'session deleted' });
    const what = parts[2] ?? '';
    if (what === 'events') return this.stream(session, request, response);
    if (what === 'log') {
      const before = Number(url.searchParams.get('before').split('-')[1]);
      const limit = Number(url.searchParams.get('limit'));
      const older = session.log.filter((entry) => Number(entry.id.split('-')[1]) < before).slice(-limit);
      return this.json(response, 200, { first: `${session.epoch}-${session.first}`, head: session.head, events: older });
    }
    if (what === '' && request.method === 'GET') return this.json(response, 200, session.describe());
    if (what === '' && request.method === 'PATCH') {
      if (body.name && body.name !== session.name) { session.name = body.name; session.emit('renamed', { name: body.name, by: 'sam' }); }
      if (body.mode && body.mode !== session.mode) { session.mode = body.mode; session.emit('mode', { mode: body.mode, by: 'sam' }); }
      if ('model' in body) { session.model = body.model; session.emit('model', { model: body.model, by: 'sam' }); }
      return this.json(response, 200, session.describe());
    }
    if (what === '' && request.method === 'DELETE') {
      session.deleted = true;
      session.drop('end');
      response.writeHead(204);
      return void response.end();
    }
    if (what === 'turns' && parts.length === 3) {
      const key = request.headers['idempotency-key'];
      if (session.keys.has(key)) return this.json(response, 200, session.keys.get(key));
      if (session.turn !== 'idle') return this.json(response, 409, { detail: 'a turn is already running' });
      session.turns += 1;
      const id = session.emit('user', { text: body.prompt, by: 'sam', key });
      session.keys.set(key, { turn: session.turns, id });
      this.json(response, 202, { turn: session.turns, id });
      this.onPrompt?.(session, body.prompt);
      return undefined;
    }
    if (what === 'turns' && parts[4] === 'cancel') {
      this.json(response, 200, { cancelled: session.turn !== 'idle' });
      if (this.holdCancel && !body.force) return undefined;
      if (session.turn !== 'idle') {
        session.emit('cancelled', { by: 'sam' });
        session.emit('turn_end', { state: 'cancelled', ms: 4200 });
      }
      return undefined;
    }
    if (what === 'approvals') {
      this.json(response, 200, { approval: parts[3], decision: body.decision });
      if (body.nonce) {
        const prepared = this.prepared.get(body.nonce);
        this.commits.push({ ...body, verb: prepared.verb, reason: prepared.reason, approval: parts[3] });
        this.begin(body.nonce, prepared, { outcome: 'verified' });
      }
      session.emit('decision', { approval: parts[3], tool_id: session.log.find((entry) => entry.data.approval === parts[3])?.data.tool_id, decision: body.decision, by: 'sam', reason: body.reason });
      return undefined;
    }
    return this.json(response, 404, { detail: 'Not Found' });
  }

  stream(session, request, response) {
    const fault = this.faults.stream.shift();
    if (typeof fault === 'number') return this.json(response, fault, { detail: `injected ${fault}` });
    if (fault === 'destroy') return void request.socket.destroy();
    if (fault === 'html') {
      response.writeHead(200, { 'Content-Type': 'text/html' });
      return void response.end('<title>Sign in</title>');
    }
    const cursor = request.headers['last-event-id'];
    let resume = cursor ? 'ok' : 'start';
    let from = null;
    const [epoch, seq] = cursor ? cursor.split('-').map(Number) : [0, 0];
    if (cursor) {
      from = cursor;
      if (seq > session.seq) resume = 'ahead';
      else if (epoch > session.epoch || this.faults.reset) resume = 'reset';
      else if (seq < session.first - 1) resume = 'gap';
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store, no-transform', 'X-Accel-Buffering': 'no', 'X-Content-Type-Options': 'nosniff' });
    const write = (text) => response.write(text);
    const block = (event, data, id) => `${id ? `id: ${id}\n` : ''}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    write('retry: 1000\n');
    write(block('hello', { epoch: session.epoch, first: `${session.epoch}-${session.first}`, head: session.head, resume, from, heartbeat_s: this.heartbeat, turn: session.turn, build: this.build }));
    const stream = {
      send: (entry) => {
        if (this.faults.stall) return;
        if (this.faults.jumps > 0) { this.faults.jumps -= 1; return; }
        const text = block(entry.event, entry.data, entry.id);
        if (this.faults.duplicate > 0) { this.faults.duplicate -= 1; write(text); }
        if (this.faults.torn > 0) {
          this.faults.torn -= 1;
          write(text.slice(0, Math.floor(text.length / 2)));
          return void setTimeout(() => stream.end('end'), 10);
        }
        write(text);
      },
      end: (how, reason) => {
        session.streams.delete(stream);
        clearInterval(beat);
        if (how === 'reset') return void response.socket?.resetAndDestroy();
        if (how === 'bye') write(block('bye', { reason }));
        response.end();
      },
    };
    if (resume === 'gap') {
      write(block('gap', { from: cursor, first: `${session.epoch}-${session.first}`, lost: session.first - 1 - seq }));
    }
    if (resume === 'gap' || resume === 'reset' || resume === 'ahead' || (resume === 'start' && session.first > 1)) write(block('snapshot', session.snapshot(), session.head));
    else for (const entry of session.log) if (Number(entry.id.split('-')[1]) > seq && Number(entry.id.split('-')[1]) <= session.seq - this.faults.withhold) stream.send(entry);
    if (session.state === 'closed') {
      write(block('end', { reason: 'closed' }));
      return void response.end();
    }
    session.streams.add(stream);
    const beat = setInterval(() => this.faults.stall || write(':\n\n'), this.heartbeat * 1000);
    response.on('close', () => {
      clearInterval(beat);
      session.streams.delete(stream);
    });
    return undefined;
  }

  async power(request, response, path, body) {
    if (this.faults.noPower) return this.json(response, 502, { detail: 'the host did not answer' });
    const vm = { ...this.vm };
    const rest = path.slice('/api/pve/'.length);
    if (rest === 'status' && request.method === 'GET') {
      const running = [...this.operations.values()].find((one) => one.state !== 'ended') ?? null;
      const last = [...this.operations.values()].at(-1) ?? null;
      const observed = this.unseen ? null : vm;
      return this.json(response, 200, { vmid: 102, observed, advice: this.advice ?? null, advised: null, error: this.unseen ?? null, age_s: 0, audit: 'ok', running, last });
    }
    if (rest === 'forensics') return this.json(response, 200, { verb: 'forensics', exit_code: 0, rejected: false, stdout: FORENSICS, stderr: '', vm, advice: 'QEMU waits for storage: repair the storage first, a stop will not help.', advised: null });
    if (rest === 'prepare') {
      if (!body.reason) return this.json(response, 422, { detail: 'a reason is needed', code: 'invalid' });
      const nonce = randomUUID();
      const phrase = this.typed ? `${body.verb} 102` : body.verb === 'start' ? null : '102';
      this.prepared.set(nonce, { ...body, phrase });
      return this.json(response, 200, { nonce, expires_s: this.expires ?? 30, verb: body.verb, vmid: 102, observed: vm, phrase, typed: Boolean(this.typed), consequence: '' });
    }
    if (rest === 'commit') {
      const key = request.headers['idempotency-key'];
      const known = [...this.operations.values()].find((one) => one.key === key);
      if (known?.state === 'ended') return this.json(response, 200, known);
      if (known) return this.json(response, 409, { detail: 'this verb has not ended yet', code: 'in_flight', operation: known });
      if (this.unreachable) return void request.socket.destroy();
      const prepared = this.prepared.get(body.nonce);
      const next = this.outcomes.shift() ?? { outcome: 'verified' };
      if (next.refuse) return this.json(response, next.refuse, { detail: next.detail, code: next.code });
      if (!prepared) return this.json(response, 409, { detail: 'expired or used: look at the VM and prepare it again', code: 'expired' });
      if (prepared.phrase && body.phrase !== prepared.phrase) return this.json(response, 422, { detail: 'the phrase is not the one that was asked for', code: 'phrase' });
      this.prepared.delete(body.nonce);
      this.commits.push({ ...body, verb: prepared.verb, reason: prepared.reason, key });
      const operation = this.begin(body.nonce, prepared, next);
      operation.key = key;
      if (next.lost) return void request.socket.destroy();
      return this.json(response, operation.state === 'ended' ? 200 : 202, operation);
    }
    if (rest.startsWith('operations/')) {
      const operation = this.operations.get(rest.slice('operations/'.length));
      if (!operation) return this.json(response, 404, { detail: 'no such operation' });
      if (operation.state !== 'ended') await new Promise((done) => setTimeout(done, 30));
      return this.json(response, operation.state === 'ended' ? 200 : 202, operation);
    }
    return this.json(response, 404, { detail: 'Not Found' });
  }

  /** `after` polls the operation ends, at once without. */
  begin(id, prepared, next) {
    const operation = { id, verb: prepared.verb, vmid: 102, reason: prepared.reason, who: 'sam', began: new Date(NOW() - 8400).toISOString(), ended: null, state: 'dispatched', step: next.step ?? null, outcome: null, detail: null, rc: null, stdout: '', observed: this.vm, observed_after: null, recorded: true };
    const end = () => {
      Object.assign(operation, { state: 'ended', ended: new Date(NOW()).toISOString(), rc: 0, ...next });
      if (operation.outcome === 'verified') this.vm = prepared.verb === 'stop' ? { status: 'stopped', qmp: null, uptime_s: null, lock: null, ha: null } : { ...RUNNING, uptime_s: 3 };
    };
    this.operations.set(id, operation);
    if (next.held) this.release = end;
    else end();
    return operation;
  }
}

const RUNNING = { status: 'running', qmp: 'running', uptime_s: 273600, lock: null, ha: null, pid: 4711, process_state: 'S', name: 'devvm' };

const FORENSICS = `== qm status 102 --verbose
status: running
qmpstatus: running
uptime: 273612
== qmp ping
no answer after 5 s
== process
PID 4711  State: D (disk sleep)  wchan: folio_wait_bit_common
== lock
none
== pressure
io some avg10=92.41 full avg10=88.02
memory some avg10=3.10 full avg10=0.00
== dmesg
[273401.118] INFO: task kvm:4711 blocked for more than 120 seconds.
[273455.902] blk_update_request: I/O error, dev nvme0n1, sector 81923112
`;

async function read(request) {
  let text = '';
  for await (const piece of request) text += piece;
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return text;
  }
}
