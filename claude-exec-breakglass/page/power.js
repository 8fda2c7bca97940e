// The power sheet: look, choose a verb, say why, confirm, and see what became of it. No model, session or stream is
// needed for any of it.

import { h, icon, button, chip, chips, put } from './dom.js';
import { call, Failure, freshKey } from './api.js';
import { copyButton } from './copy.js';
import { output } from './blocks.js';
import { confirmControl, countdown } from './confirm.js';
import { factList, Sheet } from './sheet.js';
import { ago, clock, duration, plain } from './text.js';
import { tellUrgently } from './announce.js';
import { outcomeOf, REASONS, VERBS } from './verbs.js';

/** A commit answers after this at the latest, ended or not; then the operation is followed. */
const WAIT_S = 20;
const POWER_ANSWER_MS = (WAIT_S + 15) * 1000;
const FORENSICS_MS = 60000;
const FOLLOW_MS = 2000;

/**
 * @typedef {import('./verbs.js').VerbName} VerbName
 * @typedef {{ id: string, sid: string, reason: string }} Asked A card of the agent's that this confirms.
 */

export class PowerSheet {
  /**
   * @param {import('./vm.js').Vm} vm
   * @param {{ before: () => void, after: () => void }} around Room for a power request among the browser's connections.
   */
  constructor(vm, around) {
    this.vm = vm;
    this.around = around;
    this.sheet = new Sheet('power', 'Power');
    this.view = '';
    /** What is on its way in the view that is shown; an answer for another is not shown. */
    this.ticket = Symbol('none');
    this.facts = h('div');
    /** @type {{ stop: () => void } | null} */
    this.countdown = null;
    this.sheet.onClose = () => {
      if (this.view !== 'working') this.enter('');
    };
    vm.onChange = () => this.view === 'home' && this.drawFacts();
  }

  get target() {
    return `VM ${this.vm.vmid}`.trim();
  }

  /**
   * Leaves the view that is shown.
   * @param {string} view
   */
  enter(view) {
    this.view = view;
    this.ticket = Symbol(view);
    this.countdown?.stop();
    this.countdown = null;
    return this.ticket;
  }

  /** Opens where it was while a verb is under way, or its outcome unread; else at the start. */
  open() {
    if (this.view !== 'working' && this.view !== 'outcome') this.home();
    this.sheet.open();
    if (this.view === 'home') this.vm.check();
  }

  home() {
    this.enter('home');
    this.drawFacts();
    const verbs = Object.entries(VERBS).map(([name, verb]) => h('button', {
      type: 'button', class: verb.asks ? 'button verb' : 'button verb calm', click: () => this.choose(/** @type {VerbName} */ (name), null),
    }, icon(verb.icon), h('span', { class: 'verb-name' }, verb.name), h('span', { class: 'line' }, verb.line)));
    const look = h('div', { class: 'part row' },
      button('Check again', 'refresh', { click: () => this.vm.check() }),
      button('Forensics', 'scan', { click: () => this.forensics() }));
    this.sheet.show(`Power, ${this.target}`, null, this.facts, look, this.sheet.part('Change its state', h('div', { class: 'verbs' }, ...verbs)));
  }

  drawFacts() {
    const { overview, seen, trouble, word } = this.vm;
    const { running, last } = overview ?? {};
    const list = factList([
      ['Status', word],
      ['Why', trouble || null],
      ['Uptime', seen?.uptime_s != null && !trouble ? duration(seen.uptime_s * 1000) : null],
      ['Lock', seen ? (seen.lock ?? 'none') : null],
      ['HA', seen?.ha ? `${seen.ha}: a verb is a request` : null],
      ['Last verb', last && !running ? `${last.verb}: ${outcomeOf(last.outcome, last.verb).word.toLowerCase()}` : null],
      ['Audit', overview?.audit === 'degraded' ? 'in memory only: the disk refuses it' : null],
      ['Checked', this.vm.seenAt ? ago(Date.now() - this.vm.seenAt) : null],
    ]);
    this.facts.replaceChildren(list);
    if (overview?.advice && !trouble) put(this.facts, h('p', { class: 'hint part' }, plain(overview.advice)));
    if (running) {
      put(this.facts, h('div', { class: 'part' }, button(`Follow ${running.verb}, under way`, 'work', {
        click: () => this.follow(running.verb, running.id, running),
      })));
    }
  }

  async forensics() {
    const ticket = this.enter('forensics');
    const state = h('p', { class: 'hint', role: 'status' }, 'Asking the host. It is read-only and takes up to 20 s.');
    const again = button('Ask again', 'refresh', { click: () => this.forensics() });
    this.sheet.show('Forensics', () => this.home(), state);
    let answer;
    try {
      answer = await this.request('POST', '/api/pve/forensics', {}, FORENSICS_MS);
    } catch (error) {
      answer = (error instanceof Failure && error.body?.verb && error.body) || { exit_code: null, stderr: said(error) };
    }
    if (this.ticket !== ticket) return;
    state.textContent = answer.exit_code === 0 ? 'From the host. Nothing was changed.' : 'The host did not tell it all.';
    if (answer.advice) put(this.sheet.body, h('p', { class: 'part' }, plain(answer.advice)));
    const text = plain([answer.stdout, answer.stderr].filter(Boolean).join('\n')) || 'Nothing came back.';
    const copy = copyButton(text);
    put(this.sheet.body, h('div', { class: 'part' }, output(text, 'Forensics', true)), h('div', { class: 'part row' }, copy, again));
  }

  /**
   * The second step: why, what is observed now, and the confirmation.
   * @param {VerbName} name
   * @param {Asked | null} asked
   */
  choose(name, asked) {
    this.enter('confirm');
    const verb = VERBS[name];
    const cancel = button('Cancel', null, { click: () => (asked ? this.sheet.close() : this.home()) });
    const rest = h('div', { class: 'part' });
    const other = h('input', { id: 'reason', class: 'line-input', maxlength: 200, autocomplete: 'off', 'aria-label': 'Another reason' });
    const otherForm = h('form', { class: 'typed part', hidden: true, submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      if (other.value.trim()) this.prepare(name, other.value.trim(), asked, rest);
    } }, h('div', {}, other), h('button', { type: 'submit', class: 'button' }, 'Use'));
    const pick = (/** @type {string} */ reason) => {
      otherForm.hidden = reason !== 'Other…';
      if (otherForm.hidden) return void this.prepare(name, reason, asked, rest);
      this.enter('confirm');
      rest.replaceChildren();
      other.focus();
    };
    const choices = [...REASONS, 'Other…'].map((reason) => chip('reason', reason, reason, { change: () => pick(reason) }));
    const reasons = asked
      ? h('p', { class: 'part' }, 'Claude’s reason: ', h('b', {}, `“${plain(asked.reason)}”`))
      : h('div', { class: 'part' }, chips('Why? It goes into the audit.', ...choices), otherForm);
    this.sheet.show(`${verb.name} ${this.target}?`, asked ? null : () => this.home(),
      h('p', { class: verb.asks ? 'consequence' : 'consequence calm' }, verb.line), reasons, rest, h('div', { class: 'part' }, cancel));
    this.sheet.open();
    cancel.focus();
    if (asked) this.prepare(name, asked.reason, asked, rest);
  }

  /**
   * @param {VerbName} name
   * @param {string} reason
   * @param {Asked | null} asked
   * @param {HTMLElement} rest
   */
  async prepare(name, reason, asked, rest) {
    const ticket = this.enter('confirm');
    const verb = VERBS[name];
    const stopHere = (/** @type {string} */ text, /** @type {string} */ word) => rest.replaceChildren(
      h('p', { class: 'hint', role: 'status' }, text),
      h('div', { class: 'part' }, button(word, 'refresh', { click: () => this.prepare(name, reason, asked, rest) })));
    rest.replaceChildren(h('p', { class: 'hint', role: 'status' }, 'Looking at the VM once more…'));
    let prepared;
    try {
      prepared = await this.request('POST', '/api/pve/prepare', { verb: name, reason }, POWER_ANSWER_MS);
    } catch (error) {
      if (this.ticket === ticket) stopHere(`${said(error)} Nothing was sent.`, 'Try again');
      return;
    }
    if (this.ticket !== ticket) return;
    const { observed: seen, phrase, typed } = prepared;
    const facts = factList([['Now', seen.status], ['QEMU', seen.qmp], ['Uptime', seen.uptime_s != null ? duration(seen.uptime_s * 1000) : null], ['Lock', seen.lock ?? 'none']]);
    const left = countdown((prepared.expires_s ?? 30) * 1000, () => stopHere('What was seen is too old by now. Nothing was sent.', 'Look again'));
    this.countdown = left;
    const word = `${verb.name} VM ${prepared.vmid}`;
    const commit = () => this.commit(name, prepared.nonce, phrase, asked);
    const control = phrase
      ? confirmControl({ word, phrase, typed: Boolean(typed), commit })
      : button(word, verb.icon, { class: 'button primary', click: commit });
    rest.replaceChildren(facts, left.element, h('div', { class: 'part' }, control));
  }

  /**
   * @param {VerbName} name
   * @param {string} nonce It is also the name of the operation that it begins.
   * @param {string | null} phrase
   * @param {Asked | null} asked
   */
  async commit(name, nonce, phrase, asked) {
    const ticket = this.working(name);
    const path = asked ? `/api/sessions/${asked.sid}/approvals/${asked.id}` : '/api/pve/commit';
    const body = { ...(asked && { decision: 'allow_once' }), nonce, ...(phrase && { phrase }) };
    try {
      const answer = await this.request('POST', path, body, POWER_ANSWER_MS, freshKey());
      if (this.ticket === ticket) this.follow(name, nonce, answer.state ? answer : null);
    } catch (error) {
      if (this.ticket !== ticket) return;
      // It may be under way whatever became of the request: what is known of it is asked for, never sent again.
      const failure = error instanceof Failure ? error : new Failure(0, String(error));
      const operation = failure.body?.operation;
      if (failure.isUnknown && failure.body?.code !== 'not_seen') this.follow(name, nonce, null);
      else if (failure.body?.code === 'in_flight') this.follow(name, operation.id, operation);
      else this.outcome(name, { outcome: 'refused', detail: failure.message });
    }
  }

  /** @param {VerbName} name */
  working(name) {
    const ticket = this.enter('working');
    const verb = VERBS[name];
    const began = performance.now();
    const line = h('p', {});
    this.step = h('p', { role: 'status' });
    const title = h('h2', { tabindex: -1 }, `${verb.working} ${this.target}…`);
    const tick = () => {
      line.textContent = `For ${clock(performance.now() - began)}. You may close this: it goes on, and what comes of it stays here.`;
    };
    tick();
    const timer = setInterval(tick, 1000);
    this.countdown = { stop: () => clearInterval(timer) };
    this.sheet.show(verb.name, null, h('div', { class: 'outcome working', 'data-tone': 'wait' }, icon('work'), title, line, this.step));
    if (this.sheet.isOpen) title.focus();
    return ticket;
  }

  /**
   * Asks for an operation until it has ended. Reading does nothing to the VM.
   * @param {VerbName} name
   * @param {string} id
   * @param {any} operation What is known of it already.
   */
  async follow(name, id, operation) {
    const ticket = this.view === 'working' ? this.ticket : this.working(name);
    for (;;) {
      if (operation?.state === 'ended') break;
      if (this.step && operation?.step) this.step.textContent = `The host is at: ${plain(operation.step)}`;
      try {
        operation = await call('GET', `/api/pve/operations/${id}`, { ms: POWER_ANSWER_MS, wait: WAIT_S });
      } catch (error) {
        if (this.ticket !== ticket) return;
        if (error instanceof Failure && error.status === 404) {
          operation = { outcome: 'not_sent', detail: 'it has not reached the server; check the status before you press again' };
          break;
        }
        if (this.step) this.step.textContent = `${said(error)} Asking again what became of it.`;
        await new Promise((done) => setTimeout(done, FOLLOW_MS));
      }
      if (this.ticket !== ticket) return;
    }
    if (this.ticket === ticket) this.outcome(name, operation);
    this.vm.check();
  }

  /**
   * @param {VerbName} name
   * @param {any} operation
   */
  outcome(name, operation) {
    this.enter('outcome');
    const shown = outcomeOf(operation.outcome, name, operation.detail);
    const title = h('h2', { tabindex: -1 }, shown.word);
    const took = operation.began && operation.ended ? Date.parse(operation.ended) - Date.parse(operation.began) : NaN;
    const facts = factList([
      ['Verb', `${VERBS[name].name}, ${this.target}`],
      ['By', operation.who],
      ['Took', took >= 0 ? duration(took) : null],
      ['Exit code', operation.rc != null ? String(operation.rc) : null],
      ['Seen after', operation.observed_after?.status],
      ['In the audit', operation.state ? (operation.recorded ? 'yes' : 'not on the disk') : null],
    ]);
    const text = plain(operation.stdout ?? '').trim();
    const done = shown.tone === 'live';
    const buttons = h('div', { class: 'part row' },
      button('Check status', 'refresh', { class: done ? 'button' : 'button primary', click: () => {
        this.home();
        this.vm.check();
      } }),
      button('Done', null, { class: done ? 'button primary' : 'button', click: () => this.sheet.close() }));
    this.sheet.show(VERBS[name].name, null,
      h('div', { class: 'outcome', 'data-tone': shown.tone }, icon(shown.icon), title, h('p', {}, plain(shown.line))),
      h('div', { class: 'part' }, facts), ...(text ? [this.sheet.part('The host said', output(text, 'The host said', true))] : []), buttons);
    if (this.sheet.isOpen) title.focus();
    tellUrgently(`${VERBS[name].name} ${this.target}: ${shown.word}. ${shown.line}`);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {any} body
   * @param {number} ms
   * @param {string} [key]
   */
  async request(method, path, body, ms, key) {
    this.around.before();
    try {
      return await call(method, path, { body, ms, key, wait: key ? WAIT_S : undefined });
    } finally {
      this.around.after();
    }
  }
}

/** @param {unknown} error */
function said(error) {
  return error instanceof Error ? error.message : String(error);
}
