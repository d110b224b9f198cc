/**
 * Keeps a phone's screen on while pictures are sent: with the screen its camera stops. Browsers let go of it in a hidden
 * tab, so it is asked for again when the tab is back.
 *
 * @module
 */

export class WakeLock {
  #wanted = false;
  /** @type {WakeLockSentinel | null} */
  #held = null;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#follow());
  }

  /** @param {boolean} wanted */
  set wanted(wanted) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#follow();
  }

  async #follow() {
    if (!this.#wanted) {
      this.#held?.release();
      this.#held = null;
      return;
    }
    if (document.hidden || this.#held?.released === false) return;
    try {
      this.#held = (await navigator.wakeLock?.request("screen")) ?? null;
      if (!this.#wanted) this.#follow();
    } catch {
      return; // a battery that is low; the screen may sleep
    }
  }
}
