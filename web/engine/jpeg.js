/**
 * Video over the WebSocket, where UDP is blocked: one JPEG picture a message, newest frame only.
 *
 * @module
 */

import { CaptureClock } from "./capture_clock.js";
import { JpegPacing } from "./jpeg_pacing.js";
import { RateMeter } from "./meter.js";

const DEFAULT_FRAMERATE = 10;
/** A timer that is later shows that the page was held up. */
const LATE_MS = 50;

/**
 * The same picture with its capture time in a comment segment (ITU-T T.81, B.2.4.5) right after SOI.
 *
 * @param {Uint8Array} jpeg
 * @param {number} captureTimeMs Unix time
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function withCaptureTime(jpeg, captureTimeMs) {
  const comment = new TextEncoder().encode(`capture_time_ms=${captureTimeMs.toFixed(3)}`);
  const length = comment.length + 2; // counts itself
  const stamped = new Uint8Array(jpeg.length + comment.length + 4);
  stamped.set([0xff, 0xd8, 0xff, 0xfe, length >> 8, length & 0xff]);
  stamped.set(comment, 6);
  stamped.set(jpeg.subarray(2), 6 + comment.length);
  return stamped;
}

/** Sends a track's newest frame as JPEG at a steady rate, as far as the network carries it, until closed. */
export class JpegSender {
  #video = document.createElement("video");
  #canvas = document.createElement("canvas");
  #clock = new CaptureClock(this.#video);
  #connection;
  #timer = 0;
  #intervalMs = 0;
  #tickedAt = Infinity;
  #sentBytes = 0;
  #sentFrames = 0;
  #rate = new RateMeter();
  #pacing = new JpegPacing();
  #encoding = false;
  #closed = false;

  /** Whether the track gives black pictures, which are not sent. */
  isMuted = false;

  /**
   * @param {MediaStreamTrack} track Stays the caller's: it is not stopped here.
   * @param {import("./connection.js").Connection} connection
   */
  constructor(track, connection) {
    this.#connection = connection;
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.srcObject = new MediaStream([track]);
    this.#play();
    this.setFramerate(DEFAULT_FRAMERATE);
  }

  /** Bytes given to the socket so far. */
  get sentBytes() {
    return this.#sentBytes;
  }

  /** @param {number} maxFramerate */
  setFramerate(maxFramerate) {
    clearInterval(this.#timer);
    if (this.#closed) return;
    this.#intervalMs = 1000 / Math.min(maxFramerate, DEFAULT_FRAMERATE);
    this.#tickedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), this.#intervalMs);
  }

  /** Whether the network carries fewer or smaller pictures than are wanted. */
  get isNarrow() {
    return this.#pacing.isNarrow;
  }

  /** Pictures sent a second. */
  get framerate() {
    return this.#rate.sample(this.#sentFrames);
  }

  /** @param {number} number The server has answered this ping. */
  received(number) {
    this.#judgePage();
    this.#pacing.received(number, performance.now());
  }

  /** @param {import("../shared/wire.js").Result} result */
  answered({ frame }) {
    if (frame.rtp_timestamp === null && frame.capture_time_ms !== null) this.#pacing.answered(frame.capture_time_ms);
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#clock.close();
    this.#video.srcObject = null;
  }

  #play() {
    // Refused until the user has tapped, on some phones; a closed sender interrupts it.
    this.#video.play().catch(() => {});
  }

  #tick() {
    this.#judgePage();
    this.#tickedAt = performance.now();
    this.#send();
  }

  #judgePage() {
    if (performance.now() - this.#tickedAt > this.#intervalMs + LATE_MS) this.#pacing.heldUp();
  }

  async #send() {
    const { videoWidth, videoHeight, paused } = this.#video;
    if (paused && !this.#closed) this.#play();
    const { socket } = this.#connection;
    if (this.#encoding || this.isMuted || videoWidth === 0 || !this.#pacing.hasRoom(performance.now())) return;
    this.#encoding = true;
    try {
      const captureTime = this.#clock.shown();
      const blob = await this.#encode(videoWidth, videoHeight);
      if (blob === null || this.#closed || socket.readyState !== WebSocket.OPEN) return;
      const jpeg = withCaptureTime(new Uint8Array(await blob.arrayBuffer()), captureTime);
      socket.send(jpeg);
      this.#pacing.sent(this.#connection.ping(), captureTime, performance.now());
      this.#sentFrames += 1;
      this.#sentBytes += jpeg.length;
    } finally {
      this.#encoding = false;
    }
  }

  /**
   * @param {number} width
   * @param {number} height
   * @returns {Promise<Blob | null>}
   */
  #encode(width, height) {
    const form = this.#pacing.form;
    const scale = Math.min(1, form.width / width, form.height / height);
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext("2d", { alpha: false });
    context?.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", form.quality));
  }
}
