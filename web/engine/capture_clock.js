/**
 * Which moment the shown picture is from: the time base that results are placed on.
 *
 * @module
 */

/**
 * From the monotonic clock to Unix time, in ms.
 *
 * `performance.timeOrigin` is not used: the monotonic clock may stand still while a laptop sleeps. The distance
 * between both clocks is measured at each use.
 *
 * @param {number} at As `performance.now()` gives it.
 */
export function unixTime(at) {
  return Date.now() - performance.now() + at;
}

/** Follows a playing `<video>` of a local track. */
export class CaptureClock {
  #video;
  #callback = 0;
  /** @type {number | null} */
  #captureTime = null;
  /** @type {Set<(captureTimeMs: number) => void>} */
  #listeners = new Set();

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
    this.#follow();
  }

  /** Unix time in ms at which the picture on show was captured; now, where nothing better is known. */
  shown() {
    const known = document.hidden ? null : this.#captureTime; // no callbacks come in a hidden tab
    return known ?? unixTime(performance.now());
  }

  /** @param {(captureTimeMs: number) => void} listener Called for each new picture. */
  onFrame(listener) {
    this.#listeners.add(listener);
  }

  close() {
    this.#listeners.clear();
    if (this.#callback !== 0) this.#video.cancelVideoFrameCallback(this.#callback);
  }

  #follow() {
    if (!("requestVideoFrameCallback" in this.#video)) return;
    this.#callback = this.#video.requestVideoFrameCallback((_, metadata) => {
      // `captureTime` is there for local cameras; a canvas or a screen goes to the compositor as it is made.
      this.#captureTime = unixTime(metadata.captureTime ?? metadata.presentationTime);
      for (const listener of this.#listeners) listener(this.#captureTime);
      this.#follow();
    });
  }
}
