// One view per kind of item of the transcript. Each view has an element, and shows the item again when it changed.

import { h, icon, put, button } from './dom.js';
import { copyButton } from './copy.js';
import { MarkdownView } from './markdown.js';
import { clip, duration, exact, head, plain, plural, size } from './text.js';

/** What is shown of a tool's output before "Show more". */
const OUTPUT_SHOWN = 8192;

/**
 * @typedef {import('./store.js').Item} Item
 * @typedef {{ element: HTMLElement, show: (item: any) => void }} View
 */

/** @returns {View} */
export function userView() {
  const said = h('p', { class: 'said' });
  const who = h('p', { class: 'by' });
  const element = h('article', { class: 'item user', 'aria-label': 'You' }, said, who);
  return {
    element,
    show(item) {
      said.textContent = plain(item.text);
      const at = item.at ? new Date(item.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }) : '';
      who.textContent = [item.by, at].filter(Boolean).join(' · ');
    },
  };
}

/** @returns {View} */
export function textView() {
  const element = h('article', { class: 'item md', 'aria-label': 'Claude' });
  const markdown = new MarkdownView(element);
  return {
    element,
    show(item) {
      markdown.show(item.text, item.open);
      element.classList.toggle('writing', item.open);
      element.setAttribute('aria-busy', String(item.open));
    },
  };
}

/** @returns {View} */
export function thinkingView() {
  const body = h('div', { class: 'body' });
  const word = h('span', {});
  const element = h('details', { class: 'item fold thought' }, h('summary', {}, icon('wait'), word), body);
  return {
    element,
    show(item) {
      word.textContent = item.open ? 'Thinking' : 'Thought';
      body.textContent = plain(item.text);
    },
  };
}

/** @returns {View} */
export function toolView() {
  const state = h('span', { class: 'state' });
  const what = h('span', { class: 'what' });
  const facts = h('span', { class: 'facts' });
  const body = h('div', { class: 'body' });
  const element = h('details', { class: 'item near fold' }, h('summary', {}, state, what, facts), body);
  /** @type {any} */
  let shown = null;
  element.addEventListener('toggle', () => {
    if (element.open && shown) fill(body, shown);
  });
  return {
    element,
    show(item) {
      shown = item;
      const { result } = item;
      const [glyph, word, tone] = toolState(item);
      element.dataset.tone = tone;
      element.classList.toggle('child', Boolean(item.parent));
      state.replaceChildren(icon(glyph), h('span', { class: 'unseen' }, word));
      state.classList.toggle('spinning', glyph === 'work');
      what.replaceChildren(h('b', {}, plain(item.name)), h('span', {}, head(plain(item.command || briefly(item.input)), 300)));
      const parts = [];
      if (result?.ms >= 0) parts.push(duration(result.ms));
      if (result?.bytes > 0) parts.push(size(result.bytes));
      facts.textContent = parts.join(' · ');
      if (element.open) fill(body, item);
    },
  };
}

/**
 * @param {any} item
 * @returns {[string, string, string]}
 */
function toolState(item) {
  const refused = item.decision && ['deny', 'expired', 'cancelled'].includes(item.decision.decision);
  if (refused) return ['hand', 'refused', 'wait'];
  if (item.result) return item.result.is_error ? ['cross', 'failed', 'wait'] : ['check', 'done', 'live'];
  return item.open ? ['work', 'running', 'live'] : ['question', 'no result', 'plain'];
}

/** @param {any} input */
function briefly(input) {
  if (!input || typeof input !== 'object') return '';
  const value = Object.values(input).find((one) => typeof one === 'string');
  return typeof value === 'string' ? value : '';
}

/**
 * The inside of a tool's fold: what was asked, what came back.
 * @param {HTMLElement} body
 * @param {any} item
 */
function fill(body, item) {
  const asked = item.command || JSON.stringify(item.input, null, 2);
  body.replaceChildren(h('p', { class: 'label' }, 'Asked'), output(exact(asked), 'What was asked', true));
  const { decision, result } = item;
  if (decision) put(body, h('p', { class: 'label' }, decisionWords(decision)));
  if (!result) return;
  const text = plain(result.text ?? '');
  put(body, h('p', { class: 'label' }, result.is_error ? 'Failed with' : 'Came back'));
  if (!text) return put(body, h('p', { class: 'label' }, 'No output.'));
  const pre = output(clip(text, OUTPUT_SHOWN), 'Output', false);
  const wrap = button('Wrap', null, { class: 'button small', 'aria-pressed': 'false', click: () => {
    wrap.setAttribute('aria-pressed', String(pre.classList.toggle('wrapped')));
  } });
  const more = text.length > OUTPUT_SHOWN && button('Show more', null, { class: 'button small', click: (/** @type {MouseEvent} */ event) => {
    pre.textContent = text;
    /** @type {HTMLElement} */ (event.currentTarget).remove();
  } });
  put(body, pre);
  if (result.truncated) put(body, h('p', { class: 'label' }, `Cut by the server: ${size(result.bytes)} in all.`));
  put(body, h('div', { class: 'row' }, copyButton(text), wrap, more));
}

/**
 * @param {string} text
 * @param {string} label
 * @param {boolean} wrapped
 */
export function output(text, label, wrapped) {
  return h('pre', { class: wrapped ? 'out wrapped' : 'out', tabindex: 0, role: 'group', 'aria-label': label }, text);
}

/** @param {any} decision */
export function decisionWords(decision) {
  const who = decision.by ? ` by ${decision.by}` : '';
  const why = decision.reason ? `: ${decision.reason}` : '';
  switch (decision.decision) {
    case 'auto': return `Ran without asking (${decision.rule ?? 'by rule'})`;
    case 'allow_once': return `Allowed once${who}`;
    case 'allow_session': return `Allowed for this session${who}`;
    case 'deny': return `Refused${who}${why}`;
    case 'expired': return 'Refused: nobody answered in time';
    case 'cancelled': return 'Withdrawn: the turn ended';
    default: return plain(String(decision.decision));
  }
}

/** @returns {View} */
export function noteView() {
  const element = h('p', { class: 'item note' });
  return {
    element,
    show(item) {
      if (item.tone !== 'plain') element.dataset.tone = item.tone === 'danger' ? 'danger' : 'wait';
      const glyph = { gap: 'gap', wait: 'wait', danger: 'hand' }[/** @type {string} */ (item.tone)];
      element.replaceChildren(...(glyph ? [icon(glyph)] : []), h('span', {}, plain(item.text)));
    },
  };
}

/** @type {Record<string, [string, string, string]>} */
const ENDS = { done: ['check', 'Done', 'live'], failed: ['cross', 'Failed', 'wait'], cancelled: ['stop', 'Stopped', 'plain'] };

/** @returns {View} */
export function endView() {
  const element = h('p', { class: 'item end' });
  return {
    element,
    show(item) {
      const [glyph, word, tone] = ENDS[item.state] ?? ['question', item.state, 'plain'];
      element.dataset.tone = tone;
      const usage = item.result?.usage;
      const tokens = usage ? (usage.input_tokens ?? 0) + (usage.output_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0) : 0;
      const facts = [item.state === 'cancelled' && item.by ? `by ${item.by}` : '', duration(item.ms), tokens ? plural(tokens, 'token') : '', price(item.result?.cost_usd)];
      element.replaceChildren(icon(glyph), h('b', {}, word), h('span', {}, facts.filter(Boolean).join(' · ')));
      if (item.state === 'failed' && item.error) put(element, h('span', { class: 'error' }, plain(item.error)));
    },
  };
}

/** @param {unknown} usd */
export function price(usd) {
  return typeof usd === 'number' && usd > 0 ? `$${usd.toFixed(usd < 0.1 ? 4 : 2)}` : '';
}
