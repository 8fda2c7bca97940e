// HTTP/1.1 gives an origin six connections in one browser, and a stream holds one for good. Three tabs may stream;
// the rest stay free, so that a power verb never waits behind them.

const SLOTS = 3;

export class StreamSlot {
  /** @param {() => void} robbed A tab that is looked at took this one's place. */
  constructor(robbed) {
    this.robbed = robbed;
    /** @type {(() => void) | null} */
    this.release = null;
    this.asked = false;
  }

  /** Web Locks exist only in a secure context; without them every tab streams while it is seen. */
  static get supported() {
    return 'locks' in navigator;
  }

  /** Takes a free place, or that of another tab. */
  async take() {
    if (!StreamSlot.supported || this.release || this.asked) return;
    this.asked = true;
    for (let slot = 0; slot < SLOTS && !this.release; slot += 1) await this.request(slot, { ifAvailable: true });
    if (!this.release) await this.request(Math.floor(Math.random() * SLOTS), { steal: true });
    this.asked = false;
  }

  /**
   * @param {number} slot
   * @param {LockOptions} options
   */
  request(slot, options) {
    return new Promise((settled) => {
      const held = navigator.locks.request(`breakglass-stream-${slot}`, options, (lock) => {
        if (!lock) return settled(undefined);
        return new Promise((release) => {
          this.release = () => release(undefined);
          settled(undefined);
        });
      });
      held.catch(() => {
        if (!this.release) return settled(undefined);
        this.release = null;
        this.robbed();
      });
    });
  }

  give() {
    this.release?.();
    this.release = null;
  }
}
