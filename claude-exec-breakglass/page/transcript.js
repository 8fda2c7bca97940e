// The transcript as text: looked through, and kept as a file. Pure.

import { clip, plain } from './text.js';

/** Places that are shown; whoever has more looks for more words. */
export const PLACES = 50;
/** Of what stands before a place. */
const BEFORE = 30;
const AROUND = 160;

/**
 * @typedef {import('./store.js').Item} Item
 * @typedef {{ key: string, who: string, excerpt: string }} Place
 */

/**
 * Who an item is of, and its words.
 * @param {any} item
 * @returns {[string, string]}
 */
function told(item) {
  switch (item.kind) {
    case 'user': return [item.by || 'You', item.text];
    case 'text': return ['Claude', item.text];
    case 'thinking': return ['Thought', item.text];
    case 'tool': return [item.name, [item.command || JSON.stringify(item.input), item.result?.text].filter(Boolean).join('\n')];
    case 'approval': return ['Asked', item.card.kind === 'power' ? `${item.card.verb} the VM: ${item.card.reason}` : item.card.command || item.card.tool];
    case 'end': return [{ done: 'Done', failed: 'Failed', cancelled: 'Stopped' }[/** @type {string} */ (item.state)] ?? item.state, item.error];
    default: return ['Note', item.text];
  }
}

/**
 * The items that have every word of `wanted`, whatever its case, newest first.
 * @param {Item[]} items
 * @param {string} wanted
 * @returns {Place[]}
 */
export function find(items, wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const places = [];
  for (const item of [...items].reverse()) {
    const [who, raw] = told(item);
    const text = plain(raw ?? '').replace(/\s+/g, ' ');
    const low = text.toLowerCase();
    if (!words.every((word) => low.includes(word))) continue;
    const start = Math.max(0, low.indexOf(/** @type {string} */ (words[0])) - BEFORE);
    places.push({ key: item.key, who: plain(who), excerpt: `${start ? '…' : ''}${clip(text.slice(start), AROUND)}` });
  }
  return places;
}

/**
 * The whole of it in Markdown: what was asked, said, run and decided, in order.
 * @param {Item[]} items
 * @param {string} title
 */
export function asMarkdown(items, title) {
  const parts = items.map((item) => {
    const [who, raw] = told(item);
    const text = plain(raw ?? '').trimEnd();
    const at = 'at' in item && item.at ? ` · ${new Date(item.at).toISOString()}` : '';
    switch (item.kind) {
      case 'user': return `## ${plain(who)}${at}\n\n${text}`;
      case 'text': return text;
      case 'thinking': return text.replace(/^/gm, '> ');
      case 'tool': return `**${plain(who)}**${item.result?.is_error ? ' (failed)' : ''}\n\n${fenced(text)}`;
      case 'approval': return `**${who}**: ${item.decision?.decision ?? 'open'}${item.decision?.by ? ` by ${plain(item.decision.by)}` : ''}\n\n${fenced(text)}`;
      case 'end': return `*${who}${text ? `: ${text}` : ''}*`;
      default: return `*${text}*`;
    }
  });
  return `# ${plain(title)}\n\n${parts.join('\n\n')}\n`;
}

/**
 * A code block whose fence is longer than any in it.
 * @param {string} text
 */
function fenced(text) {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
