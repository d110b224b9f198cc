/**
 * Draws what was found over the playing video, at the display's rate.
 *
 * @module
 */

import { colourOfKind } from "../shared/colours.js";
import { CaptureClock, unixTime } from "./capture_clock.js";
import { captions, facesOf } from "./captions.js";
import { drawArrow, drawBox, drawLabel, drawRegion, drawSegment, drawSkeleton, drawText, useLabelFont } from "./draw.js";
import { PERSON, countByLabel, without } from "./findings.js";
import { FrameDelay } from "./frame_delay.js";
import { LabelLayout } from "./labels.js";
import { fromCanvas, place } from "./placement.js";
import { Scene } from "./scene.js";

const STALE_OPACITY = 0.6;
/** CSS pixels. */
const STALE_DASH = [7, 5];

/**
 * @typedef {import("../shared/bridge.js").View} View
 * @typedef {import("./findings.js").Content} Content
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
  #labels = new LabelLayout();

  #placement = place("contain", { width: 1, height: 1 }, { width: 0, height: 0 }, false);

  /** @type {import("../shared/bridge.js").Region | null} A line or a zone at which is counted. */
  region = null;
  /** What the picture itself says. */
  words = { person: "person", ago: "# s ago" };

  /** Draws so far. */
  drawn = 0;
  /** Boxes, skeletons and outlines in the last draw. */
  objects = 0;
  /** How many of each kind are in the last picture, those that are not drawn, too. @type {Record<string, number>} */
  counts = {};
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
    this.#scene.observe(result, captureTime, ageMs);
    this.#delay.observeResult(captureTime, ageMs);
  }

  /**
   * @param {import("../shared/wire.js").Text[]} texts
   * @param {number} time When the frame that was read was captured, Unix ms.
   * @param {number} arrival Unix ms.
   */
  observeTexts(texts, time, arrival) {
    this.#scene.observeTexts(texts, time, arrival);
  }

  /** Another picture comes: what was found in the last is not in it. */
  clear() {
    this.#scene = new Scene();
    this.#delay.clear();
  }

  /** @param {number} x CSS pixels of the canvas. @param {number} y @returns {import("../shared/wire.js").Point} 0..1 of the frame. */
  toFrame(x, y) {
    return fromCanvas(this.#placement, x * devicePixelRatio, y * devicePixelRatio);
  }

  /** @returns {Promise<Blob | null>} A PNG of the picture with all that is drawn on it; null where there is no picture. */
  async snapshot() {
    const { left, top, width, height, mirrored } = this.#placement;
    if (this.#video.videoWidth === 0 || width === 0) return null;
    const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(width), height: Math.round(height) });
    const context = canvas.getContext("2d");
    context?.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? canvas.width : 0, 0);
    context?.drawImage(this.#video, 0, 0, canvas.width, canvas.height);
    context?.setTransform(1, 0, 0, 1, -left, -top);
    context?.drawImage(this.#canvas, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
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
      this.#next(); // first: what goes wrong in one draw does not end the others
      this.#draw();
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
    this.#placement = placement;
    const frame = this.#view.sync ? this.#delay.frameAt(unixTime(performance.now())) : null;
    if (frame !== null) this.#drawPicture(frame.canvas, placement); // over the video, which runs ahead
    const found = this.#scene.at(frame?.time ?? this.#clock.shown());
    const content = without(found, this.#view.hidden ?? []);
    this.#drawContent(content, placement);
    if (this.region !== null) {
      drawRegion({ context: this.#context, placement, scale: devicePixelRatio }, this.region);
    }
    this.counts = countByLabel(found);
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

  /** @param {number} opacity @param {boolean} isStale It is where a thing was, not where it is. */
  #mute(opacity, isStale) {
    this.#context.globalAlpha = isStale ? opacity * STALE_OPACITY : opacity;
    this.#context.setLineDash(isStale ? STALE_DASH.map((length) => length * devicePixelRatio) : []);
  }

  /** @param {Content} content @param {import("./placement.js").Placement} placement */
  #drawContent(content, placement) {
    const context = this.#context;
    const target = { context, placement, scale: devicePixelRatio };
    for (const { values, opacity, isStale, data } of content.segments) {
      this.#mute(opacity, isStale);
      drawSegment(target, values, data.outline, colourOfKind(data.label), data.score);
    }
    for (const { values, opacity, isStale, data } of content.detections) {
      this.#mute(opacity, isStale);
      const [x, y, width, height] = values;
      drawBox(target, values, colourOfKind(data.label), data.score);
      if (content.motion !== null && data.velocity !== null) {
        drawArrow(target, [x + width / 2, y + height / 2], ...data.velocity, colourOfKind(data.label));
      }
    }
    for (const { id, values, opacity, isStale, data } of content.poses) {
      this.#mute(opacity, isStale);
      // With the detector on, a person has a box already.
      if (content.detections.length === 0) drawBox(target, values.slice(0, 4), colourOfKind(PERSON), data.score);
      drawSkeleton(target, values.slice(4), data.scores, id);
    }
    for (const text of content.texts) {
      this.#mute(text.opacity, text.isStale);
      drawText(target, text);
    }
    this.#mute(1, false);
    if (content.motion !== null) drawArrow(target, [0.5, 0.5], content.motion.dx, content.motion.dy, "#e879f9");
    this.#drawLabels(content, placement);
  }

  /** Over all else. @param {Content} content @param {import("./placement.js").Placement} placement */
  #drawLabels(content, placement) {
    const [context, scale] = [this.#context, devicePixelRatio];
    const wishes = captions(content, placement, this.#view, this.words);
    useLabelFont(context, scale);
    const measure = (/** @type {string} */ text) => context.measureText(text).width;
    for (const label of this.#labels.place(wishes, facesOf(content, placement), this.#canvas, scale, measure)) {
      context.globalAlpha = label.opacity;
      drawLabel(context, scale, label);
    }
    context.globalAlpha = 1;
  }
}
