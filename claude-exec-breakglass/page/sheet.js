// A modal sheet: from below on a phone, from the side on a desk. Focus goes in, stays in, and comes back.

import { h, icon } from './dom.js';

export class Sheet {
  /**
   * @param {string} id
   * @param {string} title
   */
  constructor(id, title) {
    this.title = h('h1', { id: `${id}-title` }, title);
    this.backButton = h('button', { type: 'button', class: 'button bare', 'aria-label': 'Back', hidden: true, click: () => this.onBack() }, icon('back'));
    const close = h('button', { type: 'button', class: 'button bare', 'aria-label': 'Close', click: () => this.close() }, icon('cross'));
    this.body = h('div', { class: 'sheet-body' });
    this.element = h('dialog', { id, class: 'sheet', 'aria-labelledby': `${id}-title` },
      h('header', {}, this.backButton, this.title, close), this.body);
    this.onBack = () => {};
    this.onClose = () => {};
    /** @type {HTMLElement | null} */
    this.opener = null;
    this.element.addEventListener('click', (event) => {
      if (event.target === this.element && outside(this.element, event)) this.close();
    });
    this.element.addEventListener('close', () => {
      this.onClose();
      if (this.opener?.isConnected) this.opener.focus();
      this.opener = null;
    });
    document.body.append(this.element);
  }

  get isOpen() {
    return this.element.open;
  }

  open() {
    if (this.element.open) return;
    this.opener = document.activeElement instanceof HTMLElement ? document.activeElement : null;
    this.element.showModal();
  }

  close() {
    if (this.element.open) this.element.close();
  }

  /**
   * Shows a view of the sheet and puts the focus where it belongs in it.
   * @param {string} title
   * @param {(() => void) | null} back
   * @param {...Node} children
   */
  show(title, back, ...children) {
    this.title.textContent = title;
    this.backButton.hidden = !back;
    this.onBack = back ?? (() => {});
    this.body.replaceChildren(...children);
    this.element.scrollTop = 0;
  }

  /** @param {string} title @param {...Node} children */
  part(title, ...children) {
    return h('section', { class: 'part' }, h('h2', {}, title), ...children);
  }
}

/**
 * @param {Element} element
 * @param {MouseEvent} event
 */
function outside(element, event) {
  const box = element.getBoundingClientRect();
  const { clientX: x, clientY: y } = event;
  return x < box.left || x > box.right || y < box.top || y > box.bottom;
}

/**
 * Facts as a list of pairs; a pair without a value is left out.
 * @param {[string, string | null | undefined][]} pairs
 */
export function factList(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return h('dl', { class: 'facts-list' }, ...shown.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}
