// Where a prompt is written, and the prompts that the server does not have yet. The field is never disabled.

import { byId, h, button, say } from './dom.js';
import { Failure, freshKey } from './api.js';
import { clock, head } from './text.js';
import { tellPolitely } from './announce.js';

/** After this a prompt is not sent by itself any more: the machine is another by then. */
export const UNSENT_MS = 10 * 60 * 1000;
/** Between attempts to send. */
const RESEND_MS = 4000;
/** A stop that has not helped by now may be forced. */
const FORCE_MS = 5000;

const WAITS = 'Your text stays here until this turn ends.';

/** @typedef {{ key: string, text: string, at: number, why: string, busy: boolean, mayRetry: boolean }} Unsent */

export class Composer {
  /**
   * @param {{ send: (text: string, key: string) => Promise<void>, stop: (force: boolean) => Promise<void> }} actions
   */
  constructor(actions) {
    this.actions = actions;
    this.field = /** @type {HTMLTextAreaElement} */ (byId('prompt'));
    /** @type {Unsent[]} */
    this.unsent = [];
    this.stoppingSince = 0;
    /** @type {{ state: string, at: number, doing: string, n: number }} */
    this.turn = { state: 'idle', at: 0, doing: '', n: 0 };
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit(this.field.value);
    });
    this.field.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing) return;
      // On glass, Enter is a new line; at a desk it sends, as everywhere else.
      const desk = matchMedia('(hover: hover) and (pointer: fine)').matches;
      if (event.ctrlKey || event.metaKey || (desk && !event.shiftKey)) {
        event.preventDefault();
        this.submit(this.field.value);
      }
    });
    this.field.addEventListener('input', () => this.drawPresets());
    byId('stop').addEventListener('click', () => this.stop());
    setInterval(() => this.tick(), 1000);
  }

  get busy() {
    return this.turn.state !== 'idle';
  }

  /** @param {string} text */
  submit(text) {
    const prompt = text.trim();
    if (!prompt) return this.field.focus();
    if (this.busy) {
      this.field.value = prompt;
      say(byId('turn-doing'), WAITS);
      return tellPolitely(WAITS);
    }
    this.field.value = '';
    this.drawPresets();
    this.post({ key: freshKey(), text: prompt, at: Date.now(), why: '', busy: false, mayRetry: true });
  }

  /** @param {Unsent} row */
  async post(row) {
    if (row.busy) return;
    row.busy = true;
    row.why = '';
    if (!this.unsent.includes(row)) this.unsent.push(row);
    this.drawUnsent();
    try {
      await this.actions.send(row.text, row.key);
      this.discard(row);
    } catch (error) {
      row.busy = false;
      row.mayRetry = error instanceof Failure && (error.isUnknown || error.status === 503 || error.status === 429 || error.status === 409);
      row.why = `Not sent. ${error instanceof Error ? error.message : error}`;
      this.drawUnsent();
      tellPolitely(row.why);
    }
  }

  /** @param {Unsent} row */
  discard(row) {
    this.unsent = this.unsent.filter((one) => one !== row);
    this.drawUnsent();
  }

  /**
   * The server has this prompt: its row goes, whatever the request said.
   * @param {string | undefined} key
   */
  accepted(key) {
    const row = this.unsent.find((one) => one.key === key);
    if (row) this.discard(row);
  }

  /** Sends what waits, oldest first, while it is young enough. */
  retry() {
    const row = this.unsent[0];
    if (row && !row.busy && row.mayRetry && !this.busy && Date.now() - row.at < UNSENT_MS) this.post(row);
  }

  async stop() {
    const force = this.stoppingSince > 0 && Date.now() - this.stoppingSince > FORCE_MS;
    if (!this.stoppingSince) this.stoppingSince = Date.now();
    this.draw();
    try {
      await this.actions.stop(force);
    } catch (error) {
      this.stoppingSince = 0;
      tellPolitely(`Not stopped. ${error instanceof Error ? error.message : ''}`);
      this.draw();
    }
  }

  /** @param {{ state: string, at: number, doing: string, n: number }} turn */
  show(turn) {
    if (turn.state === 'idle') this.stoppingSince = 0;
    this.turn = { ...turn };
    this.draw();
  }

  draw() {
    const { busy } = this;
    const stopping = this.stoppingSince > 0;
    const hadFocus = document.activeElement === byId('stop') || document.activeElement === byId('send');
    byId('send').hidden = busy;
    byId('stop').hidden = !busy;
    if (hadFocus) byId(busy ? 'stop' : 'send').focus();
    byId('turn').hidden = !busy;
    if (!busy) return this.drawPresets();
    const asks = this.turn.state === 'needs_input' && !stopping;
    const [word, glyph] = stopping ? ['Stopping', 'work'] : asks ? ['Needs your answer', 'hand'] : ['Running', 'work'];
    byId('turn').dataset.tone = asks ? 'wait' : 'live';
    byId('turn-icon').setAttribute('href', `#i-${glyph}`);
    byId('turn').classList.toggle('spinning', glyph === 'work');
    say(byId('turn-word'), word);
    say(byId('turn-doing'), asks || stopping ? '' : head(this.turn.doing, 200));
    this.tick();
    this.drawPresets();
  }

  tick() {
    if (this.busy) {
      say(byId('turn-time'), clock(Date.now() - this.turn.at));
      const force = this.stoppingSince > 0 && Date.now() - this.stoppingSince > FORCE_MS;
      say(byId('stop-word'), force ? 'Force stop' : 'Stop');
    }
    for (const row of this.unsent) {
      if (row.why && row.mayRetry && Date.now() - row.at >= UNSENT_MS) {
        row.mayRetry = false;
        row.why = 'Not sent, and too old to be sent by itself.';
        this.drawUnsent();
      }
    }
    const first = this.unsent[0];
    if (first && !first.busy && Date.now() % RESEND_MS < 1000) this.retry();
  }

  /** Presets show while there is room for them: nothing written, nothing running. */
  drawPresets() {
    byId('presets').hidden = this.field.value !== '' || this.busy;
  }

  drawUnsent() {
    byId('outbox').replaceChildren(...this.unsent.map((row) => h('div', { class: 'unsent' },
      h('span', { class: 'said' }, head(row.text)),
      row.busy ? h('span', {}, 'Sending…') : null,
      row.busy ? null : button('Send now', null, { class: 'button small', click: () => this.post(row) }),
      row.busy ? null : button('Take back', null, { class: 'button small', click: () => {
        this.field.value = row.text;
        this.discard(row);
        this.field.focus();
      } }),
      row.why ? h('span', { class: 'why' }, row.why) : null)));
  }
}
