// Where this page stands in a session's log, and what to do with an event that arrives.

/** @typedef {{ epoch: number, seq: number }} Position */

/**
 * `7-4182` as a position, or null for anything else.
 * @param {string | null | undefined} id
 * @returns {Position | null}
 */
export function position(id) {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(id ?? '');
  return match ? { epoch: Number(match[1]), seq: Number(match[2]) } : null;
}

/**
 * What an event with this id is to a reader who stands at `last`: `apply` it, `drop` it (seen before), `jump`
 * (something is missing in between) or `free` (it has no place in the log). The count goes on over epochs.
 * @param {string | null} last
 * @param {string} id
 * @returns {'apply' | 'drop' | 'jump' | 'free'}
 */
export function judge(last, id) {
  const next = position(id);
  if (!next) return 'free';
  const now = position(last);
  if (!now) return 'apply';
  if (next.seq <= now.seq) return 'drop';
  return next.seq === now.seq + 1 && next.epoch >= now.epoch ? 'apply' : 'jump';
}

/**
 * How many events lie between the two, for "catching up (n behind)".
 * @param {string | null} last
 * @param {string | null} head
 */
export function behind(last, head) {
  return Math.max(0, (position(head)?.seq ?? 0) - (position(last)?.seq ?? 0));
}
