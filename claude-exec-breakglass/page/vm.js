// The strip that is never hidden: the VM's state, asked of the host. Needs no session, no stream and no model.

import { byId, say } from './dom.js';
import { call, Failure } from './api.js';
import { ago, duration } from './text.js';

/** Often enough to be believed, seldom enough for a host in trouble. */
const EVERY_MS = 20000;
/** One ssh run; a host that needs longer is in trouble, and that is the answer. */
const STATUS_MS = 25000;

/** @type {Record<string, [string, string]>} */
const LOOKS = { running: ['run', 'live'], stopped: ['stop', 'plain'], paused: ['pause', 'wait'], suspended: ['pause', 'wait'] };

export class Vm {
  constructor() {
    /** @type {any} The last answer of the server, which may be old. */
    this.overview = null;
    /** @type {any} What the host said last, which may be older. */
    this.seen = null;
    this.seenAt = 0;
    /** Why the newest look saw nothing. */
    this.trouble = '';
    this.busy = false;
    /** @type {any} */
    this.timer = null;
    this.onChange = () => {};
    byId('vm-refresh').addEventListener('click', () => this.check());
    setInterval(() => this.tick(), 1000);
  }

  get vmid() {
    return this.overview ? String(this.overview.vmid) : '';
  }

  /** Asks the host, and again from time to time while the page is looked at. */
  async check() {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    byId('vm').setAttribute('aria-busy', 'true');
    try {
      this.overview = await call('GET', '/api/pve/status', { ms: STATUS_MS });
      this.trouble = this.overview.observed ? '' : this.overview.error || 'the host did not answer';
      if (this.overview.observed) {
        this.seen = this.overview.observed;
        this.seenAt = Date.now() - 1000 * (this.overview.age_s ?? 0);
      }
    } catch (error) {
      this.trouble = error instanceof Failure && error.isSignedOut ? 'signed out' : 'the server did not answer';
    }
    this.busy = false;
    byId('vm').setAttribute('aria-busy', 'false');
    this.draw();
    this.onChange();
    this.timer = setTimeout(() => document.visibilityState === 'visible' && this.check(), EVERY_MS);
  }

  /** The state in words: `running` does not prove that QEMU answers. */
  get word() {
    const { seen, trouble } = this;
    if (trouble) return seen ? `not known, was ${seen.status}` : 'not known';
    if (!seen) return 'not checked yet';
    return seen.qmp === 'dead' ? `${seen.status}, QEMU is silent` : seen.status;
  }

  draw() {
    const { seen, trouble } = this;
    const [glyph, tone] = (!trouble && seen?.qmp !== 'dead' && LOOKS[seen?.status]) || ['question', 'wait'];
    byId('vm').dataset.tone = tone;
    byId('vm-icon').setAttribute('href', `#i-${glyph}`);
    say(byId('vm-name'), `VM ${this.vmid}`.trim());
    say(byId('vm-word'), this.word);
    say(byId('vm-uptime'), !trouble && seen?.uptime_s != null ? duration(seen.uptime_s * 1000) : '–');
    say(byId('vm-lock'), trouble || !seen ? '–' : (seen.lock ?? 'none'));
    this.tick();
  }

  tick() {
    if (this.seenAt) say(byId('vm-checked'), ago(Date.now() - this.seenAt));
  }
}
