/**
 * Video over the WebSocket, where UDP is blocked: one JPEG picture a message, newest frame only.
 *
 * @module
 */

import { CaptureClock } from "./capture_clock.js";

const MAX_WIDTH = 320;
const MAX_HEIGHT = 240;
const QUALITY = 0.7;
const DEFAULT_FRAMERATE = 10;
/** More than two frames waiting in the socket means that the network is slower than the camera. */
const MAX_BUFFERED_BYTES = 48 * 1024;

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

/** Sends a track's newest frame as JPEG at a steady rate, until closed. */
export class JpegSender {
  #video = document.createElement("video");
  #canvas = document.createElement("canvas");
  #clock = new CaptureClock(this.#video);
  #socket;
  #timer = 0;
  #sentBytes = 0;
  #encoding = false;
  #closed = false;

  /**
   * @param {MediaStreamTrack} track Stays the caller's: it is not stopped here.
   * @param {WebSocket} socket
   */
  constructor(track, socket) {
    this.#socket = socket;
    this.#video.muted = true;
    this.#video.playsInline = true;
    this.#video.srcObject = new MediaStream([track]);
    this.#video.play().catch(() => {}); // a closed sender interrupts its own play()
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
    this.#timer = setInterval(() => this.#send(), 1000 / Math.min(maxFramerate, DEFAULT_FRAMERATE));
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#clock.close();
    this.#video.srcObject = null;
  }

  async #send() {
    const { videoWidth, videoHeight } = this.#video;
    if (this.#encoding || videoWidth === 0 || this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) return;
    this.#encoding = true;
    try {
      const captureTime = this.#clock.shown();
      const blob = await this.#encode(videoWidth, videoHeight);
      if (blob === null || this.#closed || this.#socket.readyState !== WebSocket.OPEN) return;
      const jpeg = withCaptureTime(new Uint8Array(await blob.arrayBuffer()), captureTime);
      this.#socket.send(jpeg);
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
    const scale = Math.min(1, MAX_WIDTH / width, MAX_HEIGHT / height);
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext("2d", { alpha: false });
    context?.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }
}
