// A card that asks a person: the exact command, allow once, allow by rule, or refuse with a reason.

import { h, icon, put, button } from './dom.js';
import { decisionWords } from './blocks.js';
import { clock, exact, head, plain } from './text.js';
import { outcomeOf, VERBS } from './verbs.js';

/**
 * @typedef {{ decide: (id: string, answer: any) => Promise<void>, review: (card: any) => void }} Actions
 */

/**
 * @param {Actions} actions
 * @returns {import('./blocks.js').View & { tick: (now: number) => void }}
 */
export function approvalView(actions) {
  const element = h('section', { class: 'item', 'aria-label': 'Approval' });
  const time = h('span', { class: 'time' });
  /** @type {any} */
  let open = null;
  return {
    element,
    show(item) {
      if (item.decision) {
        const hadFocus = element.contains(document.activeElement);
        open = null;
        element.replaceChildren(...decided(item));
        element.className = 'item near';
        if (hadFocus) document.getElementById('log')?.focus();
        return;
      }
      if (open) return; // what a person is typing stays
      open = item;
      element.className = 'item card';
      element.dataset.tone = item.card.kind === 'power' ? 'danger' : 'wait';
      element.replaceChildren(...(item.card.kind === 'power' ? powerCard(item, time, actions) : toolCard(item, time, actions)));
    },
    tick(now) {
      if (open?.card.expires_at) time.textContent = `refused in ${clock(open.card.expires_at - now)}`;
    },
  };
}

/** @param {any} item */
function decided(item) {
  const { card, decision, outcome } = item;
  const allowed = decision.decision.startsWith('allow');
  const what = card.kind === 'power' ? `${card.verb}: ${card.reason}` : card.command ?? card.tool;
  const line = h('p', { class: 'decided', 'data-tone': allowed ? 'live' : 'wait' }, icon(allowed ? 'check' : 'hand'),
    h('span', {}, decisionWords(decision)), h('code', {}, head(plain(what), 200)));
  if (!outcome) return [line];
  const shown = outcomeOf(outcome.outcome, outcome.verb ?? card.verb, head(plain(outcome.text ?? ''), 200));
  return [line, h('p', { class: 'decided', 'data-tone': shown.tone }, icon(shown.icon), h('span', {}, `${shown.word}: ${shown.line}`))];
}

/**
 * @param {any} item
 * @param {HTMLElement} time
 * @param {Actions} actions
 */
function toolCard(item, time, actions) {
  const { card } = item;
  const body = card.command ?? JSON.stringify(card.input, null, 2);
  const parts = [
    h('h2', {}, icon('hand'), h('span', {}, card.command ? 'Claude wants to run' : `Claude wants to use ${plain(card.tool)}`), time),
    h('pre', { tabindex: 0, role: 'group', 'aria-label': 'The exact command' }, exact(body)),
  ];
  if (card.description) parts.push(h('p', { class: 'why' }, plain(card.description)));
  const once = button('Allow once', 'check', { class: 'button primary', click: () => answer({ decision: 'allow_once' }) });
  const rule = card.rule && button('Allow for this session', null, { click: () => answer({ decision: 'allow_session' }) });
  const row = h('div', { class: 'row' }, once, rule, refuseRow(item, answer));
  if (card.rule) parts.push(h('p', { class: 'rule' }, 'For this session would allow ', h('code', {}, exact(card.rule))));
  const trouble = h('p', { class: 'why', role: 'status' });
  parts.push(row, trouble);
  return parts;

  /** @param {any} choice */
  async function answer(choice) {
    await ask(actions, item.id, choice, trouble);
  }
}

/**
 * @param {any} item
 * @param {HTMLElement} time
 * @param {Actions} actions
 */
function powerCard(item, time, actions) {
  const { card } = item;
  const verb = VERBS[/** @type {keyof typeof VERBS} */ (card.verb)];
  const trouble = h('p', { class: 'why', role: 'status' });
  const review = button('Review and confirm', 'power', { class: 'button danger', click: () => actions.review(item) });
  return [
    h('h2', {}, icon('power'), h('span', {}, `Claude asks to ${card.verb} the VM`), time),
    h('p', {}, `“${plain(card.reason)}”`),
    h('p', { class: 'why' }, verb ? verb.line : ''),
    h('div', { class: 'row' }, review, refuseRow(item, (choice) => ask(actions, item.id, choice, trouble))),
    trouble,
  ];
}

/**
 * @param {Actions} actions
 * @param {string} id
 * @param {any} choice
 * @param {HTMLElement} trouble
 */
async function ask(actions, id, choice, trouble) {
  trouble.textContent = '';
  try {
    await actions.decide(id, choice);
  } catch (error) {
    trouble.textContent = error instanceof Error ? `Not decided: ${error.message}` : '';
  }
}

/**
 * Refuse, in a second step with a reason that goes to the model.
 * @param {any} item
 * @param {(choice: any) => void} answer
 */
function refuseRow(item, answer) {
  const holder = h('div', { class: 'row refuse' });
  const start = button('Refuse', 'cross', { 'aria-expanded': 'false', click: () => {
    const id = `why-${item.id}`;
    const reason = h('input', { id, class: 'line-input', maxlength: 500, autocomplete: 'off' });
    const form = h('form', { class: 'typed', submit: (/** @type {Event} */ event) => {
      event.preventDefault();
      answer({ decision: 'deny', ...(reason.value.trim() && { reason: reason.value.trim() }) });
    } }, h('div', {}, h('label', { class: 'above', for: id }, 'Why, in words for Claude (optional)'), reason),
    h('button', { class: 'button', type: 'submit' }, 'Refuse'));
    holder.replaceChildren(form);
    reason.focus();
  } });
  put(holder, start);
  return holder;
}
