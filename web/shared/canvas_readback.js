/**
 * Whether pages get out of a canvas what they drew. Protection against fingerprinting (Firefox's
 * `privacy.resistFingerprinting`, Brave, Tor Browser) hands them a blank or random picture instead.
 *
 * @module
 */

const SIZE = 16;
const RED = [255, 0, 0];
/** JPEG is not exact, and protection that only adds noise does no harm. */
const TOLERANCE = 40;

/** Encodes a red picture and looks at what became of it. */
export async function canvasReadsBack() {
  const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ resolve) => {
    const canvas = square();
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) return resolve(null);
    context.fillStyle = `rgb(${RED})`;
    context.fillRect(0, 0, SIZE, SIZE);
    canvas.toBlob(resolve, "image/jpeg");
  });
  const picture = blob === null ? null : await createImageBitmap(blob).catch(() => null);
  const context = square().getContext("2d", { alpha: false });
  if (picture === null || context === null) return false;
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, SIZE, SIZE).data;
  // Every pixel, for Firefox repeats a few random ones, and one in 256 of these passes for red.
  for (let start = 0; start < pixels.length; start += 4) {
    if (!RED.every((value, i) => Math.abs(value - pixels[start + i]) < TOLERANCE)) return false;
  }
  return true;
}

function square() {
  return Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
}
