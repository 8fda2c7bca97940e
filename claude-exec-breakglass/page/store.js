// A session's events folded into what a person reads. Pure: the same events make the same items.

/**
 * @typedef {{ id: string, event: string, data: any }} Entry
 *
 * @typedef {{ key: string, kind: 'user', turn: number, text: string, by?: string, at: number }} UserItem
 * @typedef {{ key: string, kind: 'text' | 'thinking', turn: number, text: string, open: boolean }} TextItem
 * @typedef {{ key: string, kind: 'tool', turn: number, tool_id: string, name: string, command?: string, input: any,
 *   parent?: string, open: boolean, result: ToolResult | null, decision: any }} ToolItem
 * @typedef {{ is_error: boolean, text: string, bytes: number, truncated: boolean, ms: number }} ToolResult
 * @typedef {{ key: string, kind: 'approval', turn: number, id: string, card: any, decision: any,
 *   outcome: any }} ApprovalItem
 * @typedef {{ key: string, kind: 'note', tone: string, text: string, at: number }} NoteItem
 * @typedef {{ key: string, kind: 'end', turn: number, state: 'done' | 'failed' | 'cancelled', ms: number,
 *   error: string, result: any, by: string }} EndItem
 * @typedef {UserItem | TextItem | ToolItem | ApprovalItem | NoteItem | EndItem} Item
 */

export class Store {
  constructor() {
    /** Everything is to be drawn anew. */
    this.fresh = true;
    this.notes = 0;
    this.clear();
  }

  clear() {
    /** @type {Item[]} */
    this.items = [];
    /** @type {Map<string, Item>} */
    this.byKey = new Map();
    /** @type {Set<string>} Keys that changed since the last `changes`. */
    this.dirty = new Set();
    this.fresh = true;
    /** @type {{ n: number, state: 'idle' | 'running' | 'needs_input', at: number, doing: string }} */
    this.turn = { n: 0, state: 'idle', at: 0, doing: '' };
    /** @type {any} The newest result of this turn, kept for its end. */
    this.result = null;
    this.error = '';
    this.by = '';
    /** @type {{ mode: string, name: string, model: string, cost: number, closed: boolean }} */
    this.session = { mode: 'ask', name: '', model: '', cost: 0, closed: false };
    /** @type {Entry[]} What was applied, so that older entries can be put before it. */
    this.entries = [];
    this.notes = 0;
  }

  /** @returns {{ fresh: boolean, dirty: Set<string> }} What changed since the last call. */
  changes() {
    const changes = { fresh: this.fresh, dirty: this.dirty };
    this.fresh = false;
    this.dirty = new Set();
    return changes;
  }

  /** The first id that this transcript knows of. */
  get first() {
    return this.entries.find((entry) => entry.id)?.id ?? null;
  }

  /**
   * Starts anew from what the server says the log comes to.
   * @param {any} snapshot
   */
  restore(snapshot) {
    const { session } = this;
    this.clear();
    this.session = session;
    this.about(snapshot.session);
    if (snapshot.trimmed) this.note('gap', 'Earlier events were trimmed from the log.', 0);
    for (const entry of snapshot.entries) this.apply(entry.event, entry.data, entry.id);
    this.about(snapshot.session);
    const { turn, turn_n: n, active_at: at } = snapshot.session ?? {};
    if (turn === 'idle') this.turn = { ...this.turn, state: 'idle', doing: '' };
    // The prompt of the turn that runs may have been trimmed.
    else if (turn && this.turn.state === 'idle') this.turn = { n: n ?? this.turn.n, state: 'running', at, doing: '' };
  }

  /**
   * Puts older entries before those that are here.
   * @param {Entry[]} older
   */
  prepend(older) {
    const entries = [...older, ...this.entries];
    const { session, turn } = this;
    this.clear();
    for (const entry of entries) this.apply(entry.event, entry.data, entry.id);
    this.session = session;
    this.turn = turn;
  }

  /** @param {any} session The wire's session object. */
  about(session) {
    if (!session) return;
    this.session = {
      mode: session.mode ?? this.session.mode,
      name: session.name ?? '',
      model: session.model ?? this.session.model,
      cost: session.cost_usd ?? this.session.cost,
      closed: session.state === 'closed',
    };
  }

  /**
   * @param {string} event
   * @param {any} data
   * @param {string} id
   */
  apply(event, data, id) {
    this.remember(event, data, id);
    const { turn } = data;
    switch (event) {
      case 'user':
        this.result = null;
        this.error = '';
        this.by = '';
        this.turn = { n: turn, state: 'running', at: data.at, doing: 'Thinking' };
        this.add({ ...data, key: `user-${turn}`, kind: 'user' });
        break;
      case 'session':
        this.session.model = data.model ?? this.session.model;
        break;
      case 'delta':
        this.append('text', data);
        this.turn.doing = 'Answering';
        break;
      case 'thinking':
        this.append('thinking', data);
        this.turn.doing = 'Thinking';
        break;
      case 'retract':
        for (const block of data.blocks) this.retract(turn, block);
        break;
      case 'tool':
        this.settle(turn);
        this.add({ ...data, key: `tool-${data.tool_id}`, kind: 'tool', open: true, result: null, decision: null });
        this.turn.doing = data.command ? `${data.name}: ${data.command}` : data.name;
        break;
      case 'tool_result':
        this.change(`tool-${data.tool_id}`, (item) => Object.assign(item, { open: false, result: data }));
        this.turn.doing = 'Thinking';
        break;
      case 'approval':
        this.settle(turn);
        this.turn.state = 'needs_input';
        this.add({ key: `approval-${data.approval}`, kind: 'approval', turn, id: data.approval, card: data, decision: null, outcome: null });
        break;
      case 'decision':
        if (data.approval) this.change(`approval-${data.approval}`, (item) => Object.assign(item, { decision: data }));
        if (data.tool_id) this.change(`tool-${data.tool_id}`, (item) => Object.assign(item, { decision: data }));
        if (this.turn.state === 'needs_input' && !this.waiting().length) this.turn.state = 'running';
        break;
      case 'power':
        this.change(`approval-${data.approval}`, (item) => Object.assign(item, { outcome: data }));
        break;
      case 'retry':
        this.note('wait', `The model did not answer (${data.error ?? data.status ?? 'no reason given'}): attempt ${data.attempt} of ${data.max_retries}.`, data.at);
        this.turn.doing = 'Waiting for the model';
        break;
      case 'result':
        this.result = data;
        if (typeof data.total_cost_usd === 'number') this.session.cost = data.total_cost_usd;
        if (data.result && !data.is_error) this.wholeResult(turn, data.result);
        if (data.is_error) this.error = data.result || 'The turn failed.';
        break;
      case 'error':
        this.error = data.error;
        break;
      case 'cancelled':
        this.by = data.by ?? '';
        break;
      case 'turn_end':
        this.settle(turn);
        this.close(turn);
        this.add({ key: `end-${turn}`, kind: 'end', turn, state: data.state, ms: data.ms, error: this.error, result: this.result, by: this.by });
        this.turn = { n: turn, state: 'idle', at: data.at, doing: '' };
        break;
      case 'mode':
        this.session.mode = data.mode;
        this.note(data.mode === 'unattended' ? 'danger' : 'plain', data.mode === 'unattended'
          ? `Unattended mode on${by(data.by)}: commands run without asking.`
          : `Claude asks before it acts again${by(data.by)}.`, data.at);
        break;
      case 'model':
        this.note('plain', `Model from the next turn on${by(data.by)}: ${data.model ?? 'the server’s own'}.`, data.at);
        break;
      case 'renamed':
        this.session.name = data.name;
        break;
      case 'closed':
        this.session.closed = true;
        this.note('plain', data.reason === 'idle' ? 'Closed after a long silence.' : `Closed${by(data.by)}.`, data.at);
        break;
      case 'gap':
        this.note('gap', `${data.lost} events were trimmed before they reached this page. What follows is a summary.`, 0);
        break;
      case 'jump':
        this.note('gap', 'Some events never reached this page.', 0);
        break;
      default: // of a later version
    }
  }

  /** Approvals that nobody has decided yet. */
  waiting() {
    return this.items.filter((item) => item.kind === 'approval' && !item.decision);
  }

  /** @param {Item} item */
  add(item) {
    if (this.byKey.has(item.key)) return;
    this.byKey.set(item.key, item);
    this.items.push(item);
    this.dirty.add(item.key);
  }

  /**
   * @param {string} key
   * @param {(item: any) => void} edit
   */
  change(key, edit) {
    const item = this.byKey.get(key);
    if (!item) return;
    edit(item);
    this.dirty.add(key);
  }

  /**
   * @param {'text' | 'thinking'} kind
   * @param {any} data
   */
  append(kind, data) {
    const key = `${kind}-${data.turn}-${data.block}`;
    if (!this.byKey.has(key)) {
      this.settle(data.turn);
      this.add({ key, kind, turn: data.turn, text: '', open: true });
    }
    this.change(key, (item) => {
      item.text += data.text;
    });
  }

  /**
   * @param {number} turn
   * @param {{ block: number, text: string }} block
   */
  retract(turn, block) {
    for (const kind of ['text', 'thinking']) {
      const key = `${kind}-${turn}-${block.block}`;
      if (!this.byKey.has(key)) continue;
      if (block.text === '') this.remove(key);
      else this.change(key, (item) => Object.assign(item, { text: block.text }));
    }
  }

  /** @param {string} key */
  remove(key) {
    this.byKey.delete(key);
    this.items = this.items.filter((item) => item.key !== key);
    this.dirty.add(key);
  }

  /**
   * The blocks before this moment are whole.
   * @param {number} turn
   */
  settle(turn) {
    for (let index = this.items.length - 1; index >= 0; index -= 1) {
      const item = this.items[index];
      if (!item || ('turn' in item && item.turn !== turn)) break;
      if ((item.kind === 'text' || item.kind === 'thinking') && item.open) {
        item.open = false;
        this.dirty.add(item.key);
      }
    }
  }

  /**
   * Nothing of a turn that is over is still open.
   * @param {number} turn
   */
  close(turn) {
    for (const item of this.items) {
      if (item.kind === 'tool' && item.turn === turn && item.open) this.change(item.key, (tool) => Object.assign(tool, { open: false }));
      if (item.kind === 'approval' && item.turn === turn && !item.decision) {
        this.change(item.key, (card) => Object.assign(card, { decision: { decision: 'cancelled' } }));
      }
    }
  }

  /**
   * An answer that was not streamed.
   * @param {number} turn
   * @param {string} text
   */
  wholeResult(turn, text) {
    if (this.items.some((item) => item.kind === 'text' && item.turn === turn && item.text.trim() === text.trim())) return;
    this.add({ key: `text-${turn}-result`, kind: 'text', turn, text, open: false });
  }

  /**
   * @param {string} tone
   * @param {string} text
   * @param {number} at
   */
  note(tone, text, at) {
    this.notes += 1;
    this.add({ key: `note-${this.notes}`, kind: 'note', tone, text, at });
  }

  /**
   * Keeps an entry, deltas of one block as one.
   * @param {string} event
   * @param {any} data
   * @param {string} id
   */
  remember(event, data, id) {
    const last = this.entries[this.entries.length - 1];
    if (last && (event === 'delta' || event === 'thinking') && last.event === event
        && last.data.turn === data.turn && last.data.block === data.block) {
      last.data = { ...last.data, text: last.data.text + data.text };
      return;
    }
    this.entries.push({ id, event, data });
  }
}

/** @param {string | undefined} who */
function by(who) {
  return who ? ` by ${who}` : '';
}
