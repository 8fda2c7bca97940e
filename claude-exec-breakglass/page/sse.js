// Server-sent events read from pieces of text, as the HTML standard says in "interpreting an event stream".

/** @typedef {{ type: string, data: string, id: string }} SseEvent `id` is the last one seen, as the standard has it. */

export class SseParser {
  constructor() {
    /** What came after the last line end. */
    this.rest = '';
    /** The last piece ended with a CR, so an LF at the start of the next belongs to it. */
    this.afterCr = false;
    this.first = true;
    this.type = '';
    /** @type {string[]} */
    this.data = [];
    this.id = '';
    /** The id of the open block counts only when the block ends. */
    this.nextId = '';
    /** @type {number | null} */
    this.retry = null;
  }

  /**
   * The events that this piece completes, in order. What the stream leaves unfinished at its end is dropped.
   * @param {string} piece
   * @returns {SseEvent[]}
   */
  push(piece) {
    if (piece === '') return [];
    if (this.first) {
      this.first = false;
      if (piece.charCodeAt(0) === 0xfeff) piece = piece.slice(1);
    }
    if (this.afterCr && piece.startsWith('\n')) piece = piece.slice(1);
    this.afterCr = piece.endsWith('\r');
    const lines = (this.rest + piece).split(/\r\n|\r|\n/);
    this.rest = lines.pop() ?? '';
    const events = [];
    for (const line of lines) {
      const event = this.line(line);
      if (event) events.push(event);
    }
    return events;
  }

  /**
   * @param {string} line
   * @returns {SseEvent | null}
   */
  line(line) {
    if (line === '') return this.dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.type = value;
    else if (field === 'id' && !value.includes('\0')) this.nextId = value;
    else if (field === 'retry' && /^[0-9]+$/.test(value)) this.retry = Number(value);
    return null;
  }

  /** @returns {SseEvent | null} */
  dispatch() {
    this.id = this.nextId;
    const event = this.data.length ? { type: this.type || 'message', data: this.data.join('\n'), id: this.id } : null;
    this.type = '';
    this.data = [];
    return event;
  }
}
