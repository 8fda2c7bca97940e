// The last step before a verb that can hurt: hold a button for 1.2 s, or type the VMID. Neither way is the lesser one.

import { h, button } from './dom.js';
import { clock } from './text.js';

export const HOLD_MS = 1200;

/**
 * @param {{ word: string, phrase: string, typed: boolean, commit: () => void }} options `phrase` is what has to be
 *   typed; `typed`: there were many of these lately, and holding is not enough.
 */
export function confirmControl({ word, phrase, typed, commit }) {
  const input = h('input', { id: 'phrase', class: 'line-input mono', inputmode: typed ? 'text' : 'numeric', autocomplete: 'off', autocapitalize: 'off', maxlength: 40, input: check });
  const go = h('button', { type: 'submit', class: 'button danger', disabled: true }, word);
  const form = h('form', { class: 'typed', submit: (/** @type {Event} */ event) => {
    event.preventDefault();
    if (input.value.trim() === phrase) commit();
  } }, h('div', {}, h('label', { class: 'above', for: 'phrase' }, typed ? `Type: ${phrase}` : `Type the VMID, ${phrase}`), input), go);
  if (typed) return h('div', { class: 'confirm' }, h('p', { class: 'hint' }, 'There were several in a short time, so this one has to be typed.'), form);
  return h('div', { class: 'confirm' }, holdButton(word, commit, () => input.focus()), h('p', { class: 'or' }, 'or'), form);

  function check() {
    go.disabled = input.value.trim() !== phrase;
  }
}

/**
 * @param {string} word
 * @param {() => void} done
 * @param {() => void} instead What a press that nobody can hold leads to: voice control, a switch, a screen reader.
 */
function holdButton(word, done, instead) {
  const idle = `Hold to ${word.charAt(0).toLowerCase()}${word.slice(1)}`;
  /** @type {any} */
  let timer = null;
  let pressed = false;
  const element = button(idle, 'power', {
    class: 'button hold',
    pointerdown: (/** @type {PointerEvent} */ event) => event.button === 0 && press(),
    pointerup: release,
    pointerleave: release,
    pointercancel: release,
    contextmenu: (/** @type {Event} */ event) => event.preventDefault(),
    keydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== ' ' && event.key !== 'Enter') return;
      event.preventDefault();
      if (!event.repeat) press();
    },
    keyup: release,
    blur: release,
    click: () => {
      if (!pressed) instead();
      pressed = false;
    },
  });
  const label = element.querySelector('span') ?? element;
  return element;

  function press() {
    pressed = true;
    element.classList.add('held');
    label.textContent = 'Keep holding';
    timer = setTimeout(() => {
      release();
      done();
    }, HOLD_MS);
  }

  function release() {
    clearTimeout(timer);
    element.classList.remove('held');
    label.textContent = idle;
  }
}

/**
 * How long what was observed still counts: a bar that empties, and the same in words.
 * @param {number} ms
 * @param {() => void} over
 */
export function countdown(ms, over) {
  const ends = performance.now() + ms;
  const words = h('span', {});
  const bar = h('progress', { max: ms, 'aria-hidden': 'true' });
  const element = h('p', { class: 'nonce' }, words, bar);
  const timer = setInterval(tick, 250);
  tick();
  return { element, stop: () => clearInterval(timer) };

  function tick() {
    const rest = ends - performance.now();
    bar.value = Math.max(0, rest);
    words.textContent = `What was seen counts for ${clock(rest)}`;
    if (rest > 0) return;
    clearInterval(timer);
    over();
  }
}
