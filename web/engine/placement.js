/**
 * From coordinates of the frame to pixels of the canvas over it.
 *
 * @module
 */

/**
 * Where a picture lies in its box, in canvas pixels.
 *
 * @typedef {{left: number, top: number, width: number, height: number, mirrored: boolean}} Placement
 */

/**
 * `object-fit` of CSS Images 3, 5.5, with the picture centred.
 *
 * @param {"contain" | "cover"} fit
 * @param {{width: number, height: number}} picture
 * @param {{width: number, height: number}} box
 * @param {boolean} mirrored
 * @returns {Placement}
 */
export function place(fit, picture, box, mirrored) {
  const [x, y] = [box.width / picture.width, box.height / picture.height];
  const scale = fit === "contain" ? Math.min(x, y) : Math.max(x, y);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return { left: (box.width - width) / 2, top: (box.height - height) / 2, width, height, mirrored };
}

/**
 * @param {Placement} placement
 * @param {number} x 0..1 of the frame's width
 * @param {number} y 0..1 of the frame's height
 * @returns {import("../shared/wire.js").Point} Canvas pixels.
 */
export function toCanvas(placement, x, y) {
  const across = placement.mirrored ? 1 - x : x;
  return [placement.left + across * placement.width, placement.top + y * placement.height];
}

/**
 * @param {Placement} placement
 * @param {number[]} box x, y, width, height of the frame
 * @returns {import("../shared/wire.js").Box} Canvas pixels; x is the left side also when mirrored.
 */
export function boxToCanvas(placement, [x, y, width, height]) {
  const [left, top] = toCanvas(placement, placement.mirrored ? x + width : x, y);
  return [left, top, width * placement.width, height * placement.height];
}

/**
 * @param {Placement} placement
 * @param {number} x Canvas pixels.
 * @param {number} y
 * @returns {import("../shared/wire.js").Point} 0..1 of the frame, its border where it is beyond.
 */
export function fromCanvas({ left, top, width, height, mirrored }, x, y) {
  const within = (/** @type {number} */ value) => Math.min(1, Math.max(0, value));
  const across = within((x - left) / width);
  return [mirrored ? 1 - across : across, within((y - top) / height)];
}
