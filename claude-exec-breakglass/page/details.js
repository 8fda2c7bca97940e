// The sheet behind the state pill: where the connection stands, what the session cost, and the page's few settings;
// and the sheet to sign in.

import { h, button, chip, chips } from './dom.js';
import { credential } from './api.js';
import { price } from './blocks.js';
import { factList, Sheet } from './sheet.js';
import { ago } from './text.js';

const THEME = 'breakglass.theme';
const ALOUD = 'breakglass.aloud';

/** Applies the chosen theme before anything is drawn. */
export function applyTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(THEME) ?? '';
}

/** Whether answers are read out in pieces while they stream, and not only at their end. */
export function readsAloud() {
  return localStorage.getItem(ALOUD) === 'pieces';
}

export class DetailsSheet {
  /**
   * @param {{ facts: () => any, signOut: () => void, reload: () => void }} actions
   */
  constructor(actions) {
    this.actions = actions;
    this.sheet = new Sheet('details', 'Connection');
    setInterval(() => this.sheet.isOpen && this.list?.replaceWith((this.list = this.facts())), 1000);
    /** @type {HTMLElement | undefined} */
    this.list = undefined;
  }

  facts() {
    const { link, store, stream, hello } = this.actions.facts();
    return factList([
      ['State', link.word],
      ['Reason', stream?.state.reason || null],
      ['Last heard', stream?.lastByteAt ? ago(Date.now() - stream.lastByteAt) : null],
      ['Place in the log', stream?.cursor ?? null],
      ['Newest in the log', stream?.head ?? null],
      ['Model', store.session.model || null],
      ['Mode', store.session.mode === 'unattended' ? 'unattended' : 'asks first'],
      ['Cost so far', price(store.session.cost) || null],
      ['Server', hello?.build ?? null],
    ]);
  }

  /** @param {boolean} outdated */
  open(outdated) {
    this.list = this.facts();
    const setting = (/** @type {string} */ key, /** @type {string} */ value, /** @type {string} */ word) => chip(key, value, word, {
      checked: value === (localStorage.getItem(key) ?? ''),
      change: () => {
        localStorage.setItem(key, value);
        applyTheme();
      },
    });
    const theme = chips('Colours', setting(THEME, '', 'As the device'), setting(THEME, 'dark', 'Dark'), setting(THEME, 'light', 'Light'));
    const aloud = chips('Screen reader', setting(ALOUD, '', 'Answers at their end'), setting(ALOUD, 'pieces', 'In pieces'));
    const reload = outdated && h('p', { class: 'consequence calm' }, 'The server has a newer version of this page.');
    const row = h('div', { class: 'part row' },
      button('Reload', 'refresh', { class: outdated ? 'button primary' : 'button', click: this.actions.reload }),
      credential.key ? button('Sign out', 'lock', { click: this.actions.signOut }) : null);
    this.sheet.show('Connection', null, ...(reload ? [reload] : []), this.list, h('div', { class: 'part' }, theme), h('div', { class: 'part' }, aloud), row);
    this.sheet.open();
  }
}

export class SignInSheet {
  /** @param {() => void} done */
  constructor(done) {
    this.done = done;
    this.sheet = new Sheet('sign-in', 'Sign in');
  }

  /** @param {string} why */
  open(why) {
    if (this.sheet.isOpen) return;
    const key = h('input', { id: 'key', class: 'line-input mono', type: 'password', autocomplete: 'current-password', autocapitalize: 'off', spellcheck: 'false', required: true });
    const form = h('form', { class: 'part', submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      credential.key = key.value.trim();
      this.sheet.close();
      this.done();
    } }, h('label', { class: 'above', for: 'key' }, 'Key'), key,
    h('div', { class: 'part row' }, h('button', { type: 'submit', class: 'button primary' }, 'Sign in'),
      button('Sign in at the proxy', null, { click: () => location.assign('/?signin') })));
    this.sheet.show('Sign in', null, h('p', { class: 'hint' }, why), form, h('p', { class: 'hint part' }, 'The key stays in this tab and is forgotten when it closes.'));
    this.sheet.open();
    key.focus();
  }
}
