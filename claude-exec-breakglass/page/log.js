// The transcript on the page: each item drawn once, drawn again only when it changed, the newest kept in view.

import { byId, h, icon, button } from './dom.js';
import { endView, noteView, textView, thinkingView, toolView, userView } from './blocks.js';
import { approvalView } from './approval.js';

/** More than anyone scrolls back at once; older ones are a tap away. */
const SHOWN = 400;
/** Nearer to the end than this, the page follows it. */
const NEAR_PX = 64;
/** Text that streams is drawn at most so often. */
const DRAW_MS = 100;

export class LogView {
  /**
   * @param {import('./store.js').Store} store
   * @param {import('./approval.js').Actions & { older: () => Promise<void> }} actions
   */
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.scroller = byId('log');
    this.root = byId('items');
    this.jump = byId('jump');
    /** @type {Map<string, import('./blocks.js').View & { tick?: (now: number) => void }>} */
    this.views = new Map();
    this.limit = SHOWN;
    this.unseen = 0;
    this.follows = true;
    this.scrollTop = 0;
    this.drawnAt = 0;
    this.waiting = false;
    /** The server has older events than the store. */
    this.hasOlder = false;
    this.older = button('Show earlier', null, { class: 'button small', click: () => this.showOlder() });
    this.blank = blankView();
    this.scroller.addEventListener('scroll', () => this.scrolled(), { passive: true });
    this.jump.addEventListener('click', () => this.toEnd());
    // A keyboard that opens, a strip that grows: the end stays the end.
    const observer = new ResizeObserver(() => this.follows && this.toEnd());
    observer.observe(this.root);
    observer.observe(this.scroller);
    setInterval(() => this.tick(), 1000);
  }

  /** Draws soon, and not more often than is worth it. */
  schedule() {
    if (this.waiting) return;
    this.waiting = true;
    const wait = Math.max(0, this.drawnAt + DRAW_MS - performance.now());
    setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
  }

  draw() {
    this.waiting = false;
    this.drawnAt = performance.now();
    const { fresh, dirty } = this.store.changes();
    const shown = this.store.items.slice(-this.limit);
    const follows = fresh || this.follows;
    if (fresh) {
      this.views.clear();
      this.root.replaceChildren();
      this.unseen = 0;
    }
    const keys = new Set(shown.map((item) => item.key));
    for (const [key, view] of this.views) {
      if (keys.has(key)) continue;
      view.element.remove();
      this.views.delete(key);
    }
    /** @type {Element | null} */
    let before = null;
    let added = 0;
    for (const item of shown) {
      let view = this.views.get(item.key);
      if (!view) {
        view = this.viewOf(item);
        this.views.set(item.key, view);
        view.show(item);
        if (before) before.after(view.element);
        else this.root.prepend(view.element);
        added += 1;
      } else if (dirty.has(item.key)) view.show(item);
      before = view.element;
    }
    if (shown.length) this.blank.remove();
    else this.root.replaceChildren(this.blank);
    if (shown.length && (this.hasOlder || this.store.items.length > shown.length)) this.root.prepend(this.older);
    else this.older.remove();
    if (added) this.tick();
    if (follows) return this.toEnd();
    this.unseen += fresh ? 0 : added;
    this.showJump();
  }

  /** @param {import('./store.js').Item} item */
  viewOf(item) {
    switch (item.kind) {
      case 'user': return userView();
      case 'text': return textView();
      case 'thinking': return thinkingView();
      case 'tool': return toolView();
      case 'approval': return approvalView(this.actions);
      case 'note': return noteView();
      case 'end': return endView();
    }
  }

  tick() {
    for (const view of this.views.values()) view.tick?.(Date.now());
  }

  async showOlder() {
    const { scrollHeight, scrollTop } = this.scroller;
    this.follows = false;
    this.limit += SHOWN;
    if (this.store.items.length < this.limit && this.hasOlder) await this.actions.older();
    this.store.fresh = false;
    this.views.forEach((view) => view.element.remove());
    this.views.clear();
    this.draw();
    this.scroller.scrollTop = scrollTop + this.scroller.scrollHeight - scrollHeight;
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    // Content that grows also scrolls; only a person goes up.
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX) this.follows = true;
    else if (scrollTop < this.scrollTop) this.follows = false;
    this.scrollTop = scrollTop;
    if (this.follows) this.unseen = 0;
    this.showJump();
  }

  /**
   * Brings an item into view, with the focus on it.
   * @param {string} key
   */
  reveal(key) {
    const at = this.store.items.findIndex((item) => item.key === key);
    if (at < 0) return;
    this.limit = Math.max(this.limit, this.store.items.length - at);
    this.draw();
    this.follows = false;
    const element = this.views.get(key)?.element;
    if (!element) return;
    if (element instanceof HTMLDetailsElement) element.open = true;
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: 'center' });
  }

  showJump() {
    this.jump.hidden = this.follows || this.store.items.length === 0;
    byId('jump-word').textContent = this.unseen ? `${this.unseen} new` : 'Newest';
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.scrollTop = this.scroller.scrollTop;
    this.follows = true;
    this.unseen = 0;
    this.showJump();
  }
}

function blankView() {
  return h('div', { class: 'blank' }, icon('mark'), h('h2', {}, 'What is wrong?'),
    h('p', {}, 'Claude looks over ssh, and asks you before it changes anything. The power verbs work without it.'));
}
