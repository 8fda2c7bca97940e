// Text put where it can be pasted.

import { button } from './dom.js';

/** How long the button says what became of it. */
const SAID_MS = 2000;

/**
 * A button that copies `text`.
 * @param {string} text
 */
export function copyButton(text) {
  const copy = button('Copy', null, { class: 'button small', click: () => copyText(copy, text) });
  return copy;
}

/**
 * @param {HTMLButtonElement} from
 * @param {string} text
 */
async function copyText(from, text) {
  const word = from.querySelector('span');
  if (!word) return;
  try {
    await navigator.clipboard.writeText(text);
    word.textContent = 'Copied';
  } catch {
    word.textContent = 'Not copied';
  }
  setTimeout(() => {
    word.textContent = 'Copy';
  }, SAID_MS);
}
