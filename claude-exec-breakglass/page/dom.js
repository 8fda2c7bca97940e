// Elements without an HTML sink: text becomes text nodes, attributes are set one by one.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @typedef {string | number | Node | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes
 */

/**
 * An element. A function among the attributes listens to the event of that name; `true` sets an empty attribute;
 * `false`, `null` and `undefined` set none.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, '');
    else if (value !== false && value != null) element.setAttribute(key, String(value));
  }
  put(element, ...children);
  return element;
}

/**
 * Puts children at the end of an element.
 * @param {Node} parent
 * @param {...Child} children
 */
export function put(parent, ...children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * An icon of the sprite in index.html, hidden from assistive technology: a word always stands beside it.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.appendChild(use);
  return svg;
}

/**
 * The element with this id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

/**
 * Sets the text only when it differs, so that a tick changes nothing for assistive technology or selection.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A button with an icon and a word.
 * @param {string} word
 * @param {string | null} glyph
 * @param {Attributes} [attributes]
 */
export function button(word, glyph, attributes = {}) {
  return h('button', { type: 'button', class: 'button', ...attributes }, glyph && icon(glyph), h('span', {}, word));
}

/**
 * One of several choices.
 * @param {string} name
 * @param {string} value
 * @param {string} word
 * @param {Attributes} [more]
 */
export function chip(name, value, word, more) {
  return h('label', { class: 'chip' }, h('input', { type: 'radio', name, value, ...more }), icon('check'), word);
}

/**
 * @param {string} legend
 * @param {...Child} choices
 */
export function chips(legend, ...choices) {
  return h('fieldset', { class: 'chips' }, h('legend', {}, legend), ...choices);
}
