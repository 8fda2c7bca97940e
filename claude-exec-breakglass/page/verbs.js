// The power verbs: what each does to the guest, and what each outcome means. An outcome that is not known never looks
// like one that is.

/**
 * @typedef {{ name: string, icon: string, line: string, working: string, asks: boolean }} Verb `asks`: it can hurt, so
 *   it wants a hold or the typed VMID.
 * @typedef {'start' | 'reset' | 'stop' | 'cycle'} VerbName
 * @type {Record<VerbName, Verb>}
 */
export const VERBS = {
  start: { name: 'Start', icon: 'run', line: 'Boots the VM. Refused when it runs already.', working: 'Starting', asks: false },
  reset: { name: 'Reset', icon: 'refresh', line: 'Like the reset button: unsaved guest data is lost. Works only while QEMU answers.', working: 'Resetting', asks: true },
  stop: { name: 'Stop', icon: 'stop', line: 'Like pulling the plug: unsaved guest data is lost. The VM stays off.', working: 'Stopping', asks: true },
  cycle: { name: 'Cycle', icon: 'power', line: 'Stop, see that it stopped, then start: a new QEMU, the cure for a wedged one. Unsaved guest data is lost.', working: 'Cycling', asks: true },
};

/** Why it is done, for the audit. */
export const REASONS = ['Unresponsive', 'Out of memory', 'Disk full', 'QEMU wedged', 'Kernel panic'];

/** @typedef {{ word: string, line: string, icon: string, tone: 'live' | 'wait' }} OutcomeShown */

/** @type {Record<string, OutcomeShown>} */
const OUTCOMES = {
  verified: { word: 'Verified', line: 'The new state was seen.', icon: 'check', tone: 'live' },
  sent_not_verified: { word: 'Sent, not verified', line: 'The host took it. Whether it worked was not seen.', icon: 'question', tone: 'wait' },
  requested: { word: 'Requested', line: 'The HA manager was asked, and does it in its own time.', icon: 'wait', tone: 'wait' },
  refused: { word: 'Refused', line: 'Nothing was changed.', icon: 'hand', tone: 'wait' },
  failed: { word: 'Failed', line: 'The host tried, and failed.', icon: 'cross', tone: 'wait' },
  not_sent: { word: 'Not sent', line: 'Nothing was changed.', icon: 'off', tone: 'wait' },
};
/** @type {OutcomeShown} */
const UNKNOWN = { word: 'Outcome unknown', line: 'It may have happened, or happen still. Check the status before anything else.', icon: 'question', tone: 'wait' };

/** @type {Record<string, string>} */
const VERIFIED = { start: 'running', stop: 'stopped', cycle: 'running again' };

/**
 * @param {string | null | undefined} outcome
 * @param {string} verb
 * @param {string | null} [detail]
 * @returns {OutcomeShown}
 */
export function outcomeOf(outcome, verb, detail) {
  const shown = OUTCOMES[outcome ?? ''] ?? UNKNOWN;
  const line = detail ? `${detail.charAt(0).toUpperCase()}${detail.slice(1)}${/[.!?]$/.test(detail) ? '' : '.'}` : shown.line;
  const seen = VERIFIED[verb];
  return { ...shown, line, word: outcome === 'verified' && seen ? `Verified ${seen}` : shown.word };
}
