// The sheet with the sessions: pick one, start one, name it, remove it.

import { h, icon, button, chip, chips } from './dom.js';
import { call, Failure } from './api.js';
import { price } from './blocks.js';
import { Sheet } from './sheet.js';
import { ago, plural } from './text.js';

/** @type {Record<string, [string, string, string]>} */
const TURNS = {
  idle: ['live', 'idle', 'plain'], running: ['work', 'running', 'live'], needs_input: ['hand', 'needs an answer', 'wait'], stopping: ['work', 'stopping', 'wait'],
};

export class SessionsSheet {
  /**
   * @param {{ current: () => string | null, pick: (sid: string) => void, gone: (sid: string) => void }} actions
   */
  constructor(actions) {
    this.actions = actions;
    this.sheet = new Sheet('sessions', 'Sessions');
  }

  async open() {
    const wait = h('p', { class: 'hint', role: 'status' }, 'Asking the server…');
    const create = button('New session', 'plus', { class: 'button primary', click: () => this.create() });
    const list = h('div', { class: 'part' }, wait);
    this.sheet.show('Sessions', null, create, list);
    this.sheet.open();
    create.focus();
    try {
      const { sessions } = await call('GET', '/api/sessions');
      if (sessions.length) list.replaceChildren(...sessions.map((/** @type {any} */ session) => this.row(session)));
      else wait.textContent = 'None yet.';
    } catch (error) {
      wait.textContent = error instanceof Failure ? error.message : String(error);
      list.append(h('div', { class: 'part' }, button('Try again', 'refresh', { click: () => this.open() })));
    }
  }

  /** @param {any} session */
  row(session) {
    const [glyph, word, tone] = session.state === 'closed' ? ['check', 'closed', 'plain'] : (TURNS[session.turn] ?? ['question', session.turn, 'plain']);
    const about = [word, ago(Date.now() - session.active_at), plural(session.turns ?? 0, 'turn'), price(session.cost_usd)].filter(Boolean).join(' · ');
    return h('div', { class: 'choice', 'aria-current': session.session_id === this.actions.current() ? 'true' : null },
      h('button', { type: 'button', class: 'pick', click: () => {
        this.sheet.close();
        this.actions.pick(session.session_id);
      } }, h('span', { class: 'title' }, nameOf(session)),
      h('span', { class: 'about', 'data-tone': tone }, icon(glyph), h('span', {}, about)),
      session.mode === 'unattended' && h('span', { class: 'about', 'data-tone': 'danger' }, icon('hand'), h('span', {}, 'unattended: runs without asking'))),
      h('button', { type: 'button', class: 'button bare', 'aria-label': `More for ${nameOf(session)}`, click: () => this.edit(session) }, icon('chevron')));
  }

  create() {
    const name = h('input', { id: 'new-name', class: 'line-input', maxlength: 80, autocomplete: 'off', placeholder: 'Optional' });
    const mode = this.modeChoice('ask');
    const trouble = h('p', { class: 'hint', role: 'status' });
    const form = h('form', { submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      this.attempt(trouble, async () => {
        const session = await call('POST', '/api/sessions', { body: { ...(name.value.trim() && { name: name.value.trim() }), mode: mode.value() } });
        this.sheet.close();
        this.actions.pick(session.session_id);
      });
    } }, h('label', { class: 'above', for: 'new-name' }, 'Name'), name, mode.element, trouble,
    h('div', { class: 'part row' }, h('button', { type: 'submit', class: 'button primary' }, 'Start')));
    this.sheet.show('New session', () => this.open(), form);
    name.focus();
  }

  /** @param {any} session */
  edit(session) {
    const name = h('input', { id: 'edit-name', class: 'line-input', maxlength: 80, autocomplete: 'off', value: session.name ?? '' });
    const mode = this.modeChoice(session.mode);
    const trouble = h('p', { class: 'hint', role: 'status' });
    const path = `/api/sessions/${session.session_id}`;
    const form = h('form', { submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      this.attempt(trouble, async () => {
        await call('PATCH', path, { body: { ...(name.value.trim() && { name: name.value.trim() }), mode: mode.value() } });
        await this.open();
      });
    } }, h('label', { class: 'above', for: 'edit-name' }, 'Name'), name, mode.element, trouble,
    h('div', { class: 'part row' }, h('button', { type: 'submit', class: 'button primary' }, 'Save')));
    const remove = button('Delete the session and its log', null, { click: () => {
      if (remove.dataset.sure !== 'yes') {
        remove.dataset.sure = 'yes';
        /** @type {HTMLElement} */ (remove.querySelector('span')).textContent = 'Really delete it? Its turn is stopped, too';
        return;
      }
      this.attempt(trouble, async () => {
        await call('DELETE', path);
        this.actions.gone(session.session_id);
        await this.open();
      });
    } });
    this.sheet.show(nameOf(session), () => this.open(), form, h('div', { class: 'part' }, remove));
    name.focus();
  }

  /** @param {string} now */
  modeChoice(now) {
    const warning = h('p', { class: 'consequence part', hidden: now !== 'unattended' }, 'Every command runs at once, as root where ssh gives it, and nobody is asked.');
    const choice = (/** @type {string} */ mode, /** @type {string} */ word) => chip('mode', mode, word, { checked: mode === now, change: () => {
      warning.hidden = mode === 'ask';
    } });
    const element = h('div', { class: 'part' }, chips('Before Claude changes anything', choice('ask', 'Ask me'), choice('unattended', 'Run unattended')), warning);
    return { element, value: () => /** @type {HTMLInputElement} */ (element.querySelector(':checked')).value };
  }

  /**
   * @param {HTMLElement} trouble
   * @param {() => Promise<void>} run
   */
  async attempt(trouble, run) {
    trouble.textContent = '';
    try {
      await run();
    } catch (error) {
      trouble.textContent = error instanceof Failure ? error.message : String(error);
    }
  }
}

/** @param {any} session */
export function nameOf(session) {
  return session.name || `Session ${session.session_id.slice(0, 8)}`;
}
