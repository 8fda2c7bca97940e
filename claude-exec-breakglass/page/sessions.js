// The sheet with the sessions: pick one, start one, name it, remove it.

import { h, icon, button, chip, chips } from './dom.js';
import { asMarkdown, find, PLACES } from './transcript.js';
import { call, Failure } from './api.js';
import { price } from './blocks.js';
import { Sheet } from './sheet.js';
import { ago, plain, plural } from './text.js';

/** What the CLI calls its newest; any other may be set through the API. */
const MODELS = ['opus', 'sonnet', 'haiku'];

/** @type {Record<string, [string, string, string]>} */
const TURNS = {
  idle: ['live', 'idle', 'plain'], running: ['work', 'running', 'live'], needs_input: ['hand', 'needs an answer', 'wait'], stopping: ['work', 'stopping', 'wait'],
};

export class SessionsSheet {
  /**
   * @param {{ current: () => string | null, pick: (sid: string) => void, gone: (sid: string) => void,
   *   log: import('./log.js').LogView }} actions
   */
  constructor(actions) {
    this.actions = actions;
    this.sheet = new Sheet('sessions', 'Sessions');
  }

  async open() {
    const wait = h('p', { class: 'hint', role: 'status' }, 'Asking the server…');
    const create = button('New session', 'plus', { class: 'button primary', click: () => this.create() });
    const list = h('div', { class: 'part' }, wait);
    const here = this.actions.current() && h('div', { class: 'row part' },
      button('Find in this one', 'scan', { click: () => this.search() }), button('Save it as text', 'down', { click: () => this.save() }));
    this.sheet.show('Sessions', null, create, ...(here ? [here] : []), list);
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
    const model = this.modelChoice(null);
    const trouble = h('p', { class: 'hint', role: 'status' });
    const form = h('form', { submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      this.attempt(trouble, async () => {
        const session = await call('POST', '/api/sessions', { body: { ...(name.value.trim() && { name: name.value.trim() }), mode: mode.value(), ...(model.value() && { model: model.value() }) } });
        this.sheet.close();
        this.actions.pick(session.session_id);
      });
    } }, h('label', { class: 'above', for: 'new-name' }, 'Name'), name, mode.element, model.element, trouble,
    h('div', { class: 'part row' }, h('button', { type: 'submit', class: 'button primary' }, 'Start')));
    this.sheet.show('New session', () => this.open(), form);
    name.focus();
  }

  /** @param {any} session */
  edit(session) {
    const name = h('input', { id: 'edit-name', class: 'line-input', maxlength: 80, autocomplete: 'off', value: session.name ?? '' });
    const mode = this.modeChoice(session.mode);
    const model = this.modelChoice(session.model);
    const trouble = h('p', { class: 'hint', role: 'status' });
    const path = `/api/sessions/${session.session_id}`;
    const form = h('form', { submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      this.attempt(trouble, async () => {
        const other = model.value();
        await call('PATCH', path, { body: {
          ...(name.value.trim() && { name: name.value.trim() }), mode: mode.value(), ...(other !== (session.model ?? null) && { model: other }),
        } });
        await this.open();
      });
    } }, h('label', { class: 'above', for: 'edit-name' }, 'Name'), name, mode.element, model.element, trouble,
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

  /** @param {string | null} now */
  modelChoice(now) {
    const names = [...new Set(['', ...MODELS, now ?? ''])];
    const element = h('div', { class: 'part' }, chips('Model', ...names.map((name) => chip('model', name, name || 'The server’s', { checked: name === (now ?? '') }))));
    return { element, value: () => /** @type {HTMLInputElement} */ (element.querySelector(':checked')).value || null };
  }

  /** Looks for words in the session that is open. */
  search() {
    const { store, hasOlder } = this.actions.log;
    const field = h('input', { id: 'find', class: 'line-input', type: 'search', autocomplete: 'off', enterkeyhint: 'search', input: () => draw() });
    const said = h('p', { class: 'hint part', role: 'status' });
    const list = h('div', {});
    const draw = () => {
      const places = find(store.items, field.value);
      const more = places.length > PLACES ? `, the newest ${PLACES} here` : '';
      said.textContent = !field.value.trim() ? (hasOlder ? 'Looks through what this page has; “Show earlier” in the log brings more.' : 'Looks through all of the session.')
        : places.length ? `${plural(places.length, 'place')}${more}` : 'Nothing found.';
      list.replaceChildren(...places.slice(0, PLACES).map((place) => h('div', { class: 'choice' }, h('button', { type: 'button', class: 'pick', click: () => {
        this.sheet.opener = null; // the focus goes to the place
        this.sheet.close();
        this.actions.log.reveal(place.key);
      } }, h('span', { class: 'excerpt' }, place.excerpt), h('span', { class: 'about' }, place.who)))));
    };
    this.sheet.show('Find', () => this.open(), h('label', { class: 'above', for: 'find' }, 'Words'), field, said, list);
    draw();
    field.focus();
  }

  /** Keeps the session that is open as a file. */
  save() {
    const { items, session } = this.actions.log.store;
    const name = plain(session.name) || 'session';
    const url = URL.createObjectURL(new Blob([asMarkdown(items, name)], { type: 'text/markdown' }));
    const link = h('a', { href: url, download: `${name.replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60)}.md` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
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
