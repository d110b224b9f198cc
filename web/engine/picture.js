/**
 * What is shown and sent: the source that is open now, and another in its place without an end of the session.
 *
 * @module
 */

import { Failure, FailureCode } from "../shared/failure.js";
import { play } from "./playback.js";
import { openSource } from "./source.js";

/** @typedef {import("../shared/bridge.js").Source} Source */

/**
 * Events, each a `CustomEvent`: `track` (the `MediaStreamTrack` that takes the place of the last), `ended` (the source gives
 * no more), `muted` (boolean: the phone has taken the camera away for a while), `blocked` (`Failure`: it cannot be played).
 */
export class Picture extends EventTarget {
  #video;
  #onTap;
  #wanted;
  #source;
  #closed = false;

  /**
   * @param {HTMLVideoElement} video Shows it.
   * @param {Source} wanted
   * @param {import("./source.js").OpenSource} source
   * @param {(needed: boolean) => void} onTap As of `play`.
   */
  constructor(video, wanted, source, onTap) {
    super();
    this.#video = video;
    this.#onTap = onTap;
    this.#wanted = wanted;
    this.#source = source;
    this.#show();
  }

  get track() {
    return this.#source.track;
  }

  /** Which way the camera looks, as Media Capture and Streams has it: "user" at who holds the phone; "" where nobody knows. */
  get facing() {
    return this.#source.track.getSettings().facingMode ?? "";
  }

  /** iOS mutes a camera during a call and in the background; other sources are called mute when nothing moves in them. */
  get isMuted() {
    return this.#wanted.kind === "camera" && this.#source.track.muted;
  }

  /** How a clip stands; null where the source is none. */
  get film() {
    const { film } = this.#source;
    return film === undefined ? null : { time: film.currentTime, duration: film.duration || 0, paused: film.paused };
  }

  /** @param {boolean} paused The clip; its picture is sent as before. */
  set filmPaused(paused) {
    const { film } = this.#source;
    if (paused) film?.pause();
    else film?.play().catch(() => this.#source.track.stop()); // what played before plays again
  }

  /** @param {number} time Seconds. */
  seek(time) {
    const { film } = this.#source;
    if (film !== undefined && Number.isFinite(time)) film.currentTime = time;
  }

  /** @param {{width: number, height: number}} size Of another's picture, which a blank stands in for. */
  fit(size) {
    this.#source.fit?.(size);
  }

  /**
   * Opens another source; the last stays where that fails.
   *
   * @param {Source} wanted
   * @returns {Promise<void>} Rejects with `Failure`.
   */
  async change(wanted) {
    const last = this.#wanted;
    const cameras = wanted.kind === "camera" && last.kind === "camera";
    if (cameras) this.#source.close(); // phones open one at a time
    try {
      this.#use(wanted, await openSource(wanted, this.#onTap), cameras);
    } catch (error) {
      if (cameras) this.#use(last, await openSource(last, this.#onTap), true);
      throw error;
    }
  }

  close() {
    this.#closed = true;
    this.#source.close();
    this.#video.srcObject = null;
  }

  /**
   * @param {Source} wanted
   * @param {import("./source.js").OpenSource} source
   * @param {boolean} lastClosed
   */
  #use(wanted, source, lastClosed) {
    if (this.#closed) return source.close();
    if (!lastClosed) this.#source.close();
    this.#wanted = wanted;
    this.#source = source;
    this.#show();
    this.#emit("track", source.track);
    this.#emit("muted", this.isMuted);
  }

  #show() {
    const { stream, track } = this.#source;
    this.#video.srcObject = stream;
    // That it was interrupted, by the next source or the end, is no failure.
    play(this.#video, this.#onTap).catch((error) => {
      if (error instanceof Failure && error.code === FailureCode.PLAYBACK_BLOCKED) this.#emit("blocked", error);
    });
    const isOpen = () => track === this.#source.track && !this.#closed;
    track.addEventListener("ended", () => isOpen() && this.#emit("ended", null));
    for (const event of ["mute", "unmute"]) {
      track.addEventListener(event, () => isOpen() && this.#emit("muted", this.isMuted));
    }
  }

  /** @param {string} name @param {unknown} detail */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
