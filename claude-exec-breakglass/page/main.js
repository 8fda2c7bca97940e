// Puts the page together. The machine's part comes first and needs nothing of the rest.

import { byId, h, button, icon, say } from './dom.js';
import { applyTheme, DetailsSheet, readsAloud, SignInSheet } from './details.js';
import { authorized, call, credential, Failure } from './api.js';
import { Composer } from './composer.js';
import { copyButton } from './copy.js';
import { output } from './blocks.js';
import { describe } from './connection.js';
import { clip, plain } from './text.js';
import { LogView } from './log.js';
import { PowerSheet } from './power.js';
import { PRESETS } from './presets.js';
import { SessionsSheet } from './sessions.js';
import { Sheet } from './sheet.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { StreamSlot } from './tabs.js';
import { tellPolitely, tellUrgently } from './announce.js';
import { useLexer } from './markdown.js';
import { Vm } from './vm.js';

const LAST = 'breakglass.session';
/** A page that nobody sees lets go of its stream after this. */
const HIDDEN_MS = 60000;
/** Read aloud at the end of an answer. */
const ALOUD_CHARACTERS = 300;
const PIECE_MS = 2000;

/** @type {import('./stream.js').Clock} */
const CLOCK = { now: () => Date.now(), random: Math.random, set: (run, ms) => setTimeout(run, ms), clear: (timer) => clearTimeout(timer) };

class App {
  constructor() {
    this.vm = new Vm();
    this.power = new PowerSheet(this.vm, { before: () => this.makeRoom(), after: () => this.roomMade() });
    this.store = new Store();
    this.log = new LogView(this.store, { decide: (id, answer) => this.decide(id, answer), review: (item) => this.review(item), older: () => this.older() });
    this.composer = new Composer({ send: (text, key) => this.send(text, key), stop: (force) => this.stop(force) });
    this.sessions = new SessionsSheet({ current: () => this.sid, pick: (sid) => this.attach(sid), gone: (sid) => sid === this.sid && this.detach(), log: this.log });
    this.details = new DetailsSheet({ facts: () => this.facts(), signOut: () => this.signOut(), reload: () => location.reload() });
    this.signIn = new SignInSheet(() => this.begin());
    this.checks = new Sheet('checks', 'By hand');
    this.slot = new StreamSlot(() => this.stream?.park('parked'));
    /** @type {string | null} */
    this.sid = null;
    /** @type {Stream | null} */
    this.stream = null;
    /** @type {import('./stream.js').Link | null} */
    this.link = null;
    /** @type {import('./stream.js').Hello | null} */
    this.hello = null;
    this.gap = false;
    this.outdated = false;
    this.title = document.title;
    /** @type {any} */
    this.hiddenTimer = null;
    this.aloud = { key: '', length: 0, at: 0 };
    this.wire();
  }

  wire() {
    byId('power-open').addEventListener('click', () => this.power.open());
    byId('session').addEventListener('click', () => this.sessions.open());
    byId('link').addEventListener('click', () => {
      this.gap = false;
      this.details.open(this.outdated);
      this.drawLink();
    });
    document.addEventListener('visibilitychange', () => this.seen());
    window.addEventListener('pageshow', (event) => event.persisted && this.wake());
    window.addEventListener('online', () => this.wake());
    window.addEventListener('offline', () => this.drawLink());
    window.addEventListener('focus', () => this.wake());
    setInterval(() => this.drawLink(), 1000);
    this.drawPresets();
    this.log.schedule();
  }

  /** Asks for everything, with the credential of now. */
  async begin() {
    this.vm.check();
    this.drawLink();
    if (this.sid) return this.open();
    try {
      const { sessions } = await call('GET', '/api/sessions');
      const wanted = location.hash.slice(1) || localStorage.getItem(LAST);
      const live = sessions.filter((/** @type {any} */ session) => session.state === 'open');
      const found = sessions.find((/** @type {any} */ session) => session.session_id === wanted) ?? live[0];
      if (found && !this.sid) this.attach(found.session_id);
    } catch (error) {
      this.refused(error, 'Sign in to go on.');
    }
  }

  /** @param {unknown} error @param {string} why */
  refused(error, why) {
    if (error instanceof Failure && error.isSignedOut && !this.power.sheet.isOpen) this.signIn.open(why);
  }

  /** @param {string} sid */
  attach(sid) {
    if (sid === this.sid) return this.open();
    this.stream?.close();
    this.sid = sid;
    localStorage.setItem(LAST, sid);
    history.replaceState(null, '', `#${sid}`);
    this.store.clear();
    this.hello = null;
    this.gap = false;
    this.log.hasOlder = false;
    this.log.follows = true;
    this.stream = new Stream({
      url: `/api/sessions/${sid}/events`,
      cursor: null, // a fresh page has nothing to go on from
      fetch: authorized,
      clock: CLOCK,
      online: () => navigator.onLine,
      hello: (hello) => this.greeted(hello),
      event: (type, data, id) => this.take(type, data, id),
      link: (link) => this.linked(link),
    });
    this.open();
    this.draw();
  }

  async open() {
    const { stream } = this;
    await this.slot.take();
    if (stream === this.stream) stream?.open();
  }

  /** Leaves a session that is no more, its transcript included. */
  detach() {
    this.stream?.close();
    this.slot.give();
    this.stream = null;
    this.sid = null;
    this.link = null;
    localStorage.removeItem(LAST);
    history.replaceState(null, '', location.pathname);
    this.store.clear();
    this.draw();
  }

  /** @param {import('./stream.js').Hello} hello */
  greeted(hello) {
    const before = this.hello?.build;
    this.hello = hello;
    if (before && hello.build && before !== hello.build) this.outdated = true;
    if (hello.resume === 'start' && this.store.entries.length) this.store.clear();
    if (hello.resume === 'ahead') this.lost('The log on the server is shorter than what this page has seen. It shows the server’s.');
    if (hello.resume === 'reset') this.lost('The server has a new log for this session. The page shows it.');
    this.log.hasOlder = false;
    this.inquire();
  }

  /** The stream does not say how the session is called. */
  async inquire() {
    const { sid } = this;
    const session = await call('GET', `/api/sessions/${sid}`).catch(() => null);
    if (sid !== this.sid) return;
    this.store.about(session);
    this.drawLink();
  }

  /** @param {string} text */
  lost(text) {
    this.gap = true;
    tellUrgently(text);
  }

  /**
   * @param {string} type
   * @param {any} data
   * @param {string} id
   */
  take(type, data, id) {
    if (type === 'snapshot') {
      this.store.restore(data);
      this.log.hasOlder = this.hello ? this.store.first !== null && this.store.first !== this.hello.first : false;
    } else this.store.apply(type, data, id);
    if (type === 'gap' || type === 'jump') this.lost('Some events were lost before they reached this page.');
    if (type === 'user') this.composer.accepted(data.key);
    if (this.link?.phase === 'live') this.speak(type, data);
    this.draw();
  }

  /**
   * What is said aloud, and shown in the title of a page that is not looked at.
   * @param {string} type
   * @param {any} data
   */
  speak(type, data) {
    if (type === 'user') {
      this.aloud = { key: '', length: 0, at: Date.now() };
      tellPolitely('Answer started.');
    }
    if (type === 'delta' && readsAloud()) this.speakPiece(data);
    if (type === 'approval') {
      tellPolitely(data.kind === 'power' ? `Claude asks to ${data.verb} the VM.` : `Claude wants to run: ${clip(plain(data.command ?? data.tool), 120)}`);
      this.nudge('Needs you');
    }
    if (type === 'turn_end') {
      const text = this.store.items.filter((item) => item.kind === 'text' && item.turn === data.turn).map((item) => ('text' in item ? item.text : '')).join(' ');
      const word = { done: 'Answer finished.', failed: 'The turn failed.', cancelled: 'Stopped.' }[/** @type {string} */ (data.state)] ?? '';
      tellPolitely(`${word} ${readsAloud() ? '' : clip(plain(text), ALOUD_CHARACTERS)}`);
      this.nudge(data.state === 'done' ? 'Done' : 'Ended');
    }
  }

  /** @param {any} data */
  speakPiece(data) {
    const key = `text-${data.turn}-${data.block}`;
    const item = this.store.byKey.get(key);
    if (!item || item.kind !== 'text') return;
    if (this.aloud.key !== key) this.aloud = { key, length: 0, at: Date.now() };
    const rest = item.text.slice(this.aloud.length);
    const end = Math.max(rest.lastIndexOf('. '), rest.lastIndexOf('\n'));
    if (end < 0 || Date.now() - this.aloud.at < PIECE_MS) return;
    tellPolitely(plain(rest.slice(0, end + 1)));
    this.aloud = { key, length: this.aloud.length + end + 1, at: Date.now() };
  }

  /** @param {string} word */
  nudge(word) {
    if (document.visibilityState === 'visible') return;
    document.title = `(${word}) ${this.title}`;
    navigator.vibrate?.([120, 80, 120]);
  }

  /** @param {import('./stream.js').Link} link */
  linked(link) {
    const before = this.link?.phase;
    this.link = link;
    if (link.phase !== before) {
      if (link.phase === 'signed_out') {
        tellUrgently('Signed out.');
        this.refused(new Failure(401, ''), 'Your sign-in has ended. The turn goes on without this page.');
      }
      if (link.phase === 'live') this.composer.retry();
      if (link.phase === 'gone') this.draw();
    }
    this.drawLink();
  }

  /** @param {string} text @param {string} key */
  async send(text, key) {
    if (!this.sid || this.link?.phase === 'gone' || this.store.session.closed) {
      const session = await call('POST', '/api/sessions', { body: {} });
      this.attach(session.session_id);
    }
    try {
      await call('POST', `/api/sessions/${this.sid}/turns`, { body: { prompt: text }, key });
    } catch (error) {
      this.refused(error, 'Sign in to send it. Your prompt stays here.');
      throw error;
    }
    this.stream?.open();
  }

  /** @param {boolean} force */
  async stop(force) {
    await call('POST', `/api/sessions/${this.sid}/turns/${this.store.turn.n}/cancel`, { body: { force } });
  }

  /** @param {string} id @param {any} answer */
  async decide(id, answer) {
    try {
      await call('POST', `/api/sessions/${this.sid}/approvals/${id}`, { body: answer });
    } catch (error) {
      this.refused(error, 'Sign in to decide.');
      throw error;
    }
  }

  /** @param {any} item */
  review(item) {
    if (this.sid) this.power.choose(item.card.verb, { id: item.id, sid: this.sid, reason: item.card.reason });
  }

  async older() {
    if (!this.sid || !this.store.first) return;
    const { events, first } = await call('GET', `/api/sessions/${this.sid}/log?before=${this.store.first}&limit=500`);
    this.store.prepend(events);
    this.log.hasOlder = events.length > 0 && events[0].id !== first;
  }

  signOut() {
    credential.key = '';
    this.details.sheet.close();
    this.stream?.park('signed_out');
  }

  /** Without Web Locks nothing bounds the streams, so this one makes room for a power request. */
  makeRoom() {
    if (!StreamSlot.supported && this.stream?.state.phase === 'live') this.stream.park('connecting');
  }

  roomMade() {
    if (!StreamSlot.supported) this.stream?.open();
  }

  seen() {
    clearTimeout(this.hiddenTimer);
    if (document.visibilityState === 'visible') {
      document.title = this.title;
      return this.wake();
    }
    this.hiddenTimer = setTimeout(() => {
      this.stream?.park('parked');
      this.slot.give();
    }, HIDDEN_MS);
  }

  /** After a sleep nothing that was open can be believed. */
  wake() {
    if (document.visibilityState !== 'visible') return;
    const phase = this.link?.phase;
    if (phase && ['signed_out', 'forbidden', 'ended', 'gone'].includes(phase)) return;
    this.vm.check();
    this.open();
  }

  facts() {
    return { link: describe(this.link, this.gap, Date.now()), store: this.store, stream: this.stream, hello: this.hello };
  }

  draw() {
    this.log.schedule();
    const gone = this.link?.phase === 'gone' || this.link?.phase === 'ended';
    this.composer.show(gone ? { ...this.store.turn, state: 'idle' } : this.store.turn);
    this.drawLink();
  }

  drawLink() {
    const shown = describe(this.link, this.gap, Date.now());
    const pill = byId('link');
    pill.dataset.tone = shown.tone;
    pill.querySelector('use')?.setAttribute('href', `#i-${shown.icon}`);
    pill.classList.toggle('spinning', shown.icon === 'work');
    say(byId('link-word'), shown.word);
    say(byId('link-place'), this.outdated ? 'new version' : (this.link && this.stream?.cursor) || '');
    const { session } = this.store;
    say(byId('session-name'), this.sid ? session.name || `Session ${this.sid.slice(0, 8)}` : 'Sessions');
    this.drawBanner(shown);
  }

  /** @param {import('./connection.js').Shown} shown */
  drawBanner(shown) {
    const banner = byId('banner');
    const unattended = this.sid && this.store.session.mode === 'unattended' && !this.store.session.closed;
    const text = shown.banner ?? (unattended ? 'Unattended: commands run without asking.' : null);
    banner.hidden = text === null;
    if (text === null) return;
    const danger = !shown.banner;
    const action = danger ? 'attend' : shown.action;
    if (banner.dataset.action !== String(action)) {
      banner.dataset.action = String(action);
      banner.dataset.tone = danger ? 'danger' : 'wait';
      banner.replaceChildren(icon(danger ? 'hand' : shown.icon), h('span', {}), this.bannerButton(action) ?? '');
    }
    const words = banner.querySelector(':scope > span');
    if (words) say(words, text);
  }

  /** @param {string | null} action */
  bannerButton(action) {
    /** @type {Record<string, [string, () => void]>} */
    const buttons = {
      retry: ['Try now', () => this.stream?.connect()],
      resume: ['Go live here', () => this.open()],
      sign_in: ['Sign in', () => this.signIn.open('Sign in to go on.')],
      sessions: ['Sessions', () => this.sessions.open()],
      attend: ['Ask first', () => this.attend()],
    };
    const [word, click] = buttons[action ?? ''] ?? [];
    return word && button(word, null, { class: 'button small', click });
  }

  async attend() {
    try {
      await call('PATCH', `/api/sessions/${this.sid}`, { body: { mode: 'ask' } });
    } catch (error) {
      tellUrgently(error instanceof Error ? error.message : '');
    }
  }

  drawPresets() {
    byId('presets').replaceChildren(h('h2', {}, 'Ask for'), ...PRESETS.map((preset) => h('button', {
      type: 'button', class: 'button', click: () => this.composer.submit(preset.prompt),
    }, h('span', {}, preset.name), h('span', { class: 'line' }, preset.line))),
    button('By hand…', null, { click: () => this.showChecks() }));
  }

  /** The same looks without a model: commands to copy into any terminal. */
  showChecks() {
    const parts = PRESETS.map((preset) => {
      const text = preset.checks.join('\n');
      return this.checks.part(preset.name, output(text, `Commands, ${preset.name}`, false), h('div', { class: 'row part' }, copyButton(text)));
    });
    this.checks.show('By hand', null, h('p', { class: 'hint' }, 'The same looks without a model: read-only commands for a terminal of your own.'), ...parts);
    this.checks.open();
  }
}

applyTheme();
const app = new App();
app.begin();

// Answers look better with it, and are there without it.
import('./vendor/marked-lexer.js').then(({ Lexer }) => {
  useLexer((source) => new Lexer().lex(source));
  app.store.fresh = true;
  app.log.schedule();
}).catch(() => {});

if ('serviceWorker' in navigator) {
  const path = '/sw.js';
  const policy = /** @type {any} */ (window).trustedTypes?.createPolicy('breakglass-worker', { createScriptURL: () => path });
  navigator.serviceWorker.register(policy ? policy.createScriptURL(path) : path).catch(() => {});
}
