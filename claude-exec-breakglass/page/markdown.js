// Markdown tokens made into DOM nodes from an allowlist. There is no HTML here to be sanitised: what the model writes
// as HTML is shown as the text it is.

import { h, put } from './dom.js';
import { copyButton } from './copy.js';
import { clip, plain } from './text.js';

/**
 * @typedef {{ type: string, raw: string, text?: string, tokens?: Token[], [more: string]: any }} Token
 * @typedef {(source: string) => Token[]} Lexer
 */

/** Deeper than anything a person writes; what lies below is shown as text. */
const MOST_DEPTH = 24;

const PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);

/** @type {Record<string, string>} */
const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', hellip: '…', mdash: '—', ndash: '–', copy: '©' };

/** @type {Lexer | null} */
let lexer = null;

/**
 * Until this is called, and if the parser's file never comes, answers are shown as plain paragraphs.
 * @param {Lexer} lex
 */
export function useLexer(lex) {
  lexer = lex;
}

/** One block of an answer while it grows: finished parts are drawn once, only the last is drawn again. */
export class MarkdownView {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** How much of the text is drawn for good. */
    this.done = 0;
    this.drawn = '';
    /** @type {ChildNode[]} What is drawn of the rest. */
    this.tail = [];
    this.withLexer = lexer;
  }

  /**
   * @param {string} text
   * @param {boolean} open
   */
  show(text, open) {
    if (this.withLexer !== lexer || !text.startsWith(this.drawn.slice(0, this.done))) this.reset();
    this.drawn = text;
    for (const node of this.tail) node.remove();
    this.tail = [];
    const tokens = lex(text.slice(this.done));
    // What is followed by nothing but blanks may go on: a list by its next line.
    const solid = open ? tokens.findLastIndex((token) => token.raw.trim()) : tokens.length;
    tokens.forEach((token, index) => {
      const nodes = block(token, 0);
      put(this.root, ...nodes);
      if (index < solid) this.done += token.raw.length;
      else this.tail.push(...nodes);
    });
  }

  reset() {
    this.root.replaceChildren();
    this.done = 0;
    this.tail = [];
    this.withLexer = lexer;
  }
}

/**
 * @param {string} source
 * @returns {Token[]}
 */
function lex(source) {
  if (!source) return [];
  if (lexer) {
    try {
      const tokens = lexer(source);
      // The parser may have normalised line ends; then its tokens are no measure of the source.
      if (tokens.reduce((sum, token) => sum + token.raw.length, 0) === source.length) return tokens;
    } catch {
      // Fall through: the answer matters more than its looks.
    }
  }
  return [{ type: 'plain', raw: source, text: source }];
}

/**
 * @param {Token} token
 * @param {number} depth
 * @returns {HTMLElement[]}
 */
function block(token, depth) {
  if (depth > MOST_DEPTH) return [h('p', {}, plain(token.raw))];
  const inner = () => (token.tokens ?? []).flatMap((child) => block(child, depth + 1));
  switch (token.type) {
    case 'space':
    case 'def':
      return [];
    case 'heading': // the page's own headings stay above those of an answer
      return [h('p', { class: 'heading', role: 'heading', 'aria-level': Math.min(6, token.depth + 2) }, ...inline(token.tokens, depth))];
    case 'paragraph':
      return [h('p', {}, ...inline(token.tokens, depth))];
    case 'text':
      return [h('p', {}, ...inline(token.tokens ?? [token], depth))];
    case 'code':
      return [code(token.text ?? '', token.lang ?? '')];
    case 'hr':
      return [h('hr')];
    case 'blockquote':
      return [h('blockquote', {}, ...inner())];
    case 'list':
      return [list(token, depth)];
    case 'table':
      return [table(token, depth)];
    default:
      return [h('p', {}, plain(token.raw).trimEnd())];
  }
}

/**
 * @param {string} text
 * @param {string} lang
 */
function code(text, lang) {
  const name = clip(plain(lang).trim(), 24);
  return h('div', { class: 'code' },
    h('pre', { tabindex: 0, role: 'group', 'aria-label': name ? `Code, ${name}` : 'Code' }, h('code', {}, plain(text))), copyButton(plain(text)));
}

/**
 * @param {Token} token
 * @param {number} depth
 */
function list(token, depth) {
  const start = token.ordered && token.start !== 1 ? token.start : null;
  const element = h(token.ordered ? 'ol' : 'ul', { start });
  for (const item of token.items) {
    const tight = !token.loose;
    const children = item.tokens.flatMap(/** @param {Token} child */ (child) => {
      if (child.type === 'checkbox') return [];
      return tight && child.type === 'text' ? inline(child.tokens ?? [child], depth) : block(child, depth + 1);
    });
    const box = item.task && h('span', { class: 'task' }, item.checked ? '☑ ' : '☐ ');
    put(element, h('li', {}, box, ...children));
  }
  return element;
}

/**
 * @param {Token} token
 * @param {number} depth
 */
function table(token, depth) {
  /**
   * @param {'th' | 'td'} name
   * @param {any} cell
   */
  const cell = (name, cell) => h(name, { class: cell.align ? `to-${cell.align}` : null, scope: name === 'th' ? 'col' : null }, ...inline(cell.tokens, depth));
  const head = h('tr', {}, ...token.header.map(/** @param {any} c */ (c) => cell('th', c)));
  const rows = token.rows.map(/** @param {any[]} row */ (row) => h('tr', {}, ...row.map((c) => cell('td', c))));
  return h('div', { class: 'table', tabindex: 0, role: 'group', 'aria-label': 'Table' },
    h('table', {}, h('thead', {}, head), h('tbody', {}, ...rows)));
}

/**
 * @param {Token[] | undefined} tokens
 * @param {number} depth
 * @returns {Node[]}
 */
function inline(tokens, depth) {
  return (tokens ?? []).flatMap((token) => span(token, depth + 1));
}

/**
 * @param {Token} token
 * @param {number} depth
 * @returns {Node[]}
 */
function span(token, depth) {
  const text = (/** @type {string} */ value) => [document.createTextNode(plain(value))];
  if (depth > MOST_DEPTH) return text(token.raw);
  switch (token.type) {
    case 'strong':
      return [h('strong', {}, ...inline(token.tokens, depth))];
    case 'em':
      return [h('em', {}, ...inline(token.tokens, depth))];
    case 'del':
      return [h('del', {}, ...inline(token.tokens, depth))];
    case 'codespan':
      return [h('code', {}, plain(token.text ?? ''))];
    case 'br':
      return [h('br')];
    case 'link':
      return link(token, depth);
    case 'image': // never fetched: its address could carry data out
      return text(`[image: ${token.text || token.href}]`);
    case 'text':
    case 'escape':
      return token.tokens ? inline(token.tokens, depth) : text(unescaped(token.text ?? token.raw));
    default:
      return text(token.raw);
  }
}

/**
 * A link that says where it leads; a target that is not for the web stays text.
 * @param {Token} token
 * @param {number} depth
 * @returns {Node[]}
 */
function link(token, depth) {
  const label = inline(token.tokens, depth);
  let url;
  try {
    url = new URL(token.href);
  } catch {
    return [document.createTextNode(plain(token.raw))];
  }
  if (!PROTOCOLS.has(url.protocol)) return [document.createTextNode(plain(token.raw))];
  const anchor = h('a', { href: url.href, rel: 'noopener noreferrer nofollow', target: '_blank' }, ...label);
  const where = url.host || url.pathname;
  return anchor.textContent?.includes(where) ? [anchor] : [anchor, h('span', { class: 'host' }, ` (${where})`)];
}

/** @param {string} text */
function unescaped(text) {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,8}));/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name] ?? whole;
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
