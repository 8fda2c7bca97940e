// What the pill and the banner say of the connection. Text, icon and colour each tell it alone.

import { duration } from './text.js';

/**
 * @typedef {import('./stream.js').Link} Link
 * @typedef {{ word: string, icon: string, tone: string, banner: string | null, action: string | null }} Shown
 */

/** @type {Record<import('./stream.js').Phase, [string, string, string, string | null, string | null]>} */
const PHASES = {
  live: ['Live', 'live', 'live', null, null],
  catching_up: ['Catching up', 'behind', 'wait', null, null],
  connecting: ['Connecting', 'work', 'wait', null, null],
  reconnecting: ['Reconnecting', 'work', 'wait', 'Reconnecting. The turn goes on without this page, and power works', 'retry'],
  offline: ['Offline', 'off', 'wait', 'This device is offline. The turn goes on without it', 'retry'],
  draining: ['Server restarting', 'wait', 'wait', 'The server is restarting. Nothing is lost', 'retry'],
  signed_out: ['Signed out', 'lock', 'wait', 'You are signed out. What is on this page may be old.', 'sign_in'],
  forbidden: ['Not allowed', 'lock', 'wait', 'Your key may not read this session.', 'sign_in'],
  parked: ['Paused', 'pause', 'plain', 'Paused: enough other tabs of yours are live.', 'resume'],
  ended: ['Closed', 'check', 'plain', 'This session is closed. Its log stays readable.', 'sessions'],
  gone: ['Gone', 'gap', 'wait', 'This session no longer exists.', 'sessions'],
};

/**
 * @param {Link | null} link Null: no session is attached.
 * @param {boolean} gap Events were lost since the person last looked.
 * @param {number} now
 * @returns {Shown}
 */
export function describe(link, gap, now) {
  if (!link) return { word: 'Ready', icon: 'live', tone: 'plain', banner: null, action: null };
  const [word, icon, tone, text, action] = PHASES[link.phase];
  if (link.phase === 'live' && gap) return { word: 'Live, gap', icon: 'gap', tone: 'wait', banner: null, action };
  const banner = action === 'retry' && link.nextAt !== null
    ? `${text}: attempt ${link.attempt}, next in ${duration(Math.max(0, link.nextAt - now))}.`
    : text;
  return { word: link.behind ? `${word}, ${link.behind} behind` : word, icon, tone, banner, action };
}
