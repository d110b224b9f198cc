/**
 * Draws what was found over the playing video, at the display's rate.
 *
 * @module
 */

import { CaptureClock, unixTime } from "./capture_clock.js";
import { colourOf, drawArrow, drawBox, drawSegment, drawSkeleton, drawText } from "./draw.js";
import { FrameDelay } from "./frame_delay.js";
import { place } from "./placement.js";
import { Scene } from "./scene.js";

/**
 * @typedef {import("../shared/bridge.js").View} View
 * @typedef {ReturnType<Scene["at"]>} Content
 */

export class Overlay {
  #video;
  #canvas;
  #context;
  #clock;
  #delay = new FrameDelay();
  #scene = new Scene();
  #request = 0;
  #resizes;
  /** @type {View} */
  #view = { mirror: false, sync: false, labels: true };

  /** Draws so far. */
  drawn = 0;
  /** Boxes, skeletons and outlines in the last draw. */
  objects = 0;
  /** @type {number | null} `performance.now()` of the first draw with something found in it. */
  firstDrawnAt = null;

  /**
   * @param {HTMLVideoElement} video Plays the stream; `object-fit: contain`.
   * @param {HTMLCanvasElement} canvas Covers the video.
   */
  constructor(video, canvas) {
    this.#video = video;
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.#clock = new CaptureClock(video);
    this.#clock.onFrame((time) => {
      if (this.#view.sync) this.#delay.push(video, time);
    });
    this.#resizes = new ResizeObserver(() => this.#resize());
    this.#resizes.observe(canvas);
    this.#next();
  }

  /** @param {View} view */
  set view(view) {
    this.#view = view;
    if (!view.sync) this.#delay.clear();
    this.#video.classList.toggle("mirrored", view.mirror);
  }

  /** @param {import("./client.js").ResultDetail} detail */
  observe({ result, captureTime, ageMs }) {
    this.#scene.observe(result, captureTime);
    this.#delay.observeResult(captureTime, ageMs);
  }

  /** @param {import("../shared/wire.js").Text[]} texts @param {number} time Of their arrival, Unix ms. */
  observeTexts(texts, time) {
    this.#scene.observeTexts(texts, time);
  }

  close() {
    cancelAnimationFrame(this.#request);
    this.#resizes.disconnect();
    this.#clock.close();
    this.#delay.clear();
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  #next() {
    this.#request = requestAnimationFrame(() => {
      this.#draw();
      this.#next();
    });
  }

  #resize() {
    this.#canvas.width = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * devicePixelRatio);
  }

  #draw() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (width === 0) return;
    const placement = place("contain", { width, height }, this.#canvas, this.#view.mirror);
    const frame = this.#view.sync ? this.#delay.frameAt(unixTime(performance.now())) : null;
    if (frame !== null) this.#drawPicture(frame.canvas, placement); // over the video, which runs ahead
    const content = this.#scene.at(frame?.time ?? this.#clock.shown());
    this.#drawContent(content, placement);
    this.drawn += 1;
    this.objects = content.detections.length + content.poses.length + content.segments.length;
    if (this.objects > 0) this.firstDrawnAt ??= performance.now();
  }

  /** @param {HTMLCanvasElement} picture @param {import("./placement.js").Placement} placement */
  #drawPicture(picture, { left, top, width, height, mirrored }) {
    const context = this.#context;
    context.save();
    if (mirrored) context.setTransform(-1, 0, 0, 1, this.#canvas.width, 0);
    context.drawImage(picture, left, top, width, height);
    context.restore();
  }

  /** @param {Content} content @param {import("./placement.js").Placement} placement */
  #drawContent(content, placement) {
    const context = this.#context;
    const target = { context, placement, scale: devicePixelRatio };
    const boxed = new Set(content.detections.map(({ id }) => id)); // these have their label already
    for (const { id, values, opacity, data } of content.segments) {
      context.globalAlpha = opacity;
      const labelled = this.#view.labels && !boxed.has(id);
      drawSegment(target, values, data.outline, colourOf(id), labelled ? caption(id, data) : null);
    }
    for (const { id, values, opacity, data } of content.detections) {
      context.globalAlpha = opacity;
      const [x, y, width, height] = values;
      drawBox(target, values, colourOf(id), this.#view.labels ? caption(id, data) : null);
      if (data.velocity !== null) {
        drawArrow(target, [x + width / 2, y + height / 2], ...data.velocity, colourOf(id));
      }
    }
    for (const { id, values, opacity, data } of content.poses) {
      context.globalAlpha = opacity;
      // With the detector on, a person has a box already.
      if (content.detections.length === 0) {
        drawBox(target, values.slice(0, 4), colourOf(id), this.#view.labels ? `person ${id}` : null);
      }
      drawSkeleton(target, values.slice(4), data.scores);
    }
    context.globalAlpha = content.textOpacity;
    if (content.textOpacity > 0) for (const text of content.texts) drawText(target, text);
    context.globalAlpha = 1;
    if (content.motion !== null) drawArrow(target, [0.5, 0.5], content.motion.dx, content.motion.dy, "#e879f9");
  }
}

/** @param {number} id @param {{label: string, score: number}} thing */
function caption(id, { label, score }) {
  return `${label} ${id} · ${Math.round(score * 100)}%`;
}
