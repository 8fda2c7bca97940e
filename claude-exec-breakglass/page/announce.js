// Two live regions for the whole page: a polite one, and one for power outcomes, a lost sign-in, and gaps.
// Token text never goes into either.

import { byId } from './dom.js';

/** @param {string} text */
export function tellPolitely(text) {
  refill(byId('status'), text);
}

/** @param {string} text */
export function tellUrgently(text) {
  refill(byId('alert'), text);
}

/**
 * The same words twice are two announcements.
 * @param {HTMLElement} region
 * @param {string} text
 */
function refill(region, text) {
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}
