// Numbers, times and foreign text, made fit to be read.

/**
 * A length of time: `0.4 s`, `12 s`, `2 min 5 s`, `3 h 12 min`, `4 d 1 h`.
 * @param {number} ms
 */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, 'min', 1, 's');
  if (whole < 86400) return pair(whole, 3600, 'h', 60, 'min');
  return pair(whole, 86400, 'd', 3600, 'h');
}

/**
 * @param {number} whole
 * @param {number} big
 * @param {string} bigUnit
 * @param {number} small
 * @param {string} smallUnit
 */
function pair(whole, big, bigUnit, small, smallUnit) {
  const rest = Math.floor((whole % big) / small);
  return `${Math.floor(whole / big)} ${bigUnit}${rest ? ` ${rest} ${smallUnit}` : ''}`;
}

/**
 * A clock that counts up or down: `0:07`, `12:30`.
 * @param {number} ms
 */
export function clock(ms) {
  const whole = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/**
 * How long ago: `now`, `4 s ago`, `12 min ago`.
 * @param {number} ms
 */
export function ago(ms) {
  if (ms < 1500) return 'now';
  if (ms < 60000) return `${Math.floor(ms / 1000)} s ago`;
  if (ms < 3600000) return `${Math.floor(ms / 60000)} min ago`;
  return `${duration(Math.floor(ms / 3600000) * 3600000)} ago`;
}

/**
 * A size in bytes: `812 B`, `1.2 KB`, `3.4 MB`.
 * @param {number} count
 */
export function size(count) {
  if (count < 1000) return `${count} B`;
  if (count < 999950) return `${(count / 1000).toFixed(1)} KB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

/**
 * `1 event`, `2 events`.
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

// CSI, then OSC and its kin up to their end, then the two-byte rest.
const ESCAPES = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]/g;
// C0 without tab and newline, DEL, C1, and what reorders or hides text: bidi controls, zero width, tags.
const UNSEEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

/**
 * Output of a tool or a host as plain text: no escape sequence, no control, nothing that reorders what is read.
 * @param {string} text
 */
export function plain(text) {
  return text.replace(ESCAPES, '').replace(/\r\n?/g, '\n').replace(UNSEEN, '');
}

/**
 * What a person must read exactly before allowing it: as it is, but everything unseen is shown as `\u{…}`.
 * @param {string} text
 */
export function exact(text) {
  return text.replace(UNSEEN, (hidden) => `\\u{${(hidden.codePointAt(0) ?? 0).toString(16)}}`);
}

/**
 * The first `limit` characters, whole code points, with a mark when something is missing.
 * @param {string} text
 * @param {number} limit
 */
export function clip(text, limit) {
  if (text.length <= limit) return text;
  const end = /[\ud800-\udbff]$/.test(text.slice(0, limit)) ? limit - 1 : limit;
  return `${text.slice(0, end)}…`;
}

/**
 * The first line of a text, clipped.
 * @param {string} text
 * @param {number} [limit]
 */
export function head(text, limit = 120) {
  const line = text.trimStart().split('\n', 1)[0] ?? '';
  return clip(line.trimEnd(), limit);
}
