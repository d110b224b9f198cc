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
  #stop = () => {};
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
    this.#stop();
  }

  #follow() {
    const video = this.#video;
    if (!("requestVideoFrameCallback" in video)) return this.#followTime(video);
    const callback = video.requestVideoFrameCallback((_, metadata) => {
      // `captureTime` is there for local cameras; a canvas or a screen goes to the compositor as it is made.
      this.#show(metadata.captureTime ?? metadata.presentationTime);
      this.#follow();
    });
    this.#stop = () => video.cancelVideoFrameCallback(callback);
  }

  /**
   * Where a browser does not tell of each picture (Firefox before 132): time that goes on means a new one.
   *
   * @param {HTMLVideoElement} video
   */
  #followTime(video) {
    let shown = -1;
    const look = () => {
      if (video.videoWidth > 0 && video.currentTime !== shown) this.#show(performance.now());
      shown = video.currentTime;
      request = requestAnimationFrame(look);
    };
    let request = requestAnimationFrame(look);
    this.#stop = () => cancelAnimationFrame(request);
  }

  /** @param {number} at When the picture now on show was captured, as `performance.now()` gives it. */
  #show(at) {
    this.#captureTime = unixTime(at);
    for (const listener of this.#listeners) listener(this.#captureTime);
  }
}
