/**
 * Where labels go: beside what they name, never over one another or over a face. Where there is no such place, as in a
 * crowd, one is left out.
 *
 * @module
 */

/** CSS pixels. */
const HEIGHT = 18;
const PADDING = 5;
const GAP = 2;
/** A label may be so wide, however small its box is. */
const LEAST_WIDTH = 60;
/** Fewer say nothing. */
const LEAST_LETTERS = 3;

/** @typedef {{left: number, top: number, width: number, height: number}} Rectangle Canvas pixels. */

/**
 * @typedef {object} Wish
 * @property {string} key The same from picture to picture, so that a label stays on its side.
 * @property {string} text
 * @property {string} colour
 * @property {number} opacity
 * @property {Rectangle} anchor What it names.
 * @property {boolean} isReading It is what was read: whole, and rather below.
 */

/** @typedef {Rectangle & {text: string, colour: string, opacity: number}} Label */

/** Sides of a box, the dearest first; in the end inside of it. */
const SIDES = /** @type {const} */ (["above", "aboveRight", "below", "belowRight", "insideBottom", "insideTop"]);
const SIDES_OF_READING = /** @type {const} */ (["below", "above", "belowRight", "aboveRight"]);

/** @typedef {typeof SIDES[number]} Side */

export class LabelLayout {
  /** @type {Map<string, Side>} Where each was in the last picture. */
  #sides = new Map();

  /**
   * @param {readonly Wish[]} wishes What comes first has its place first.
   * @param {readonly Rectangle[]} faces
   * @param {{width: number, height: number}} canvas
   * @param {number} scale Canvas pixels of a CSS pixel.
   * @param {(text: string) => number} measure Its width, in canvas pixels.
   * @returns {Label[]}
   */
  place(wishes, faces, canvas, scale, measure) {
    const sides = new Map();
    const taken = [...faces];
    const labels = [];
    for (const wish of wishes) {
      const text = wish.isReading ? wish.text : shortened(wish, scale, measure);
      const size = { width: measure(text) + 2 * PADDING * scale, height: HEIGHT * scale };
      const last = this.#sides.get(wish.key);
      const known = wish.isReading ? SIDES_OF_READING : SIDES;
      for (const side of last === undefined ? known : [last, ...known]) {
        const place = placeAt(side, wish.anchor, size, GAP * scale, canvas);
        if (place === null || taken.some((other) => overlap(place, other))) continue;
        taken.push(place);
        sides.set(wish.key, side);
        labels.push({ ...place, text, colour: wish.colour, opacity: wish.opacity });
        break;
      }
    }
    this.#sides = sides;
    return labels;
  }
}

/** @param {Wish} wish @param {number} scale @param {(text: string) => number} measure */
function shortened({ text, anchor }, scale, measure) {
  const room = Math.max(anchor.width, LEAST_WIDTH * scale) - 2 * PADDING * scale;
  const width = measure(text);
  if (width <= room) return text;
  const letters = Math.floor((text.length * room) / width) - 1;
  return `${text.slice(0, Math.max(LEAST_LETTERS, letters)).trimEnd()}…`;
}

/**
 * @param {Side} side
 * @param {Rectangle} anchor
 * @param {{width: number, height: number}} size
 * @param {number} gap
 * @param {{width: number, height: number}} canvas
 * @returns {Rectangle | null} null where the canvas has no room for it.
 */
function placeAt(side, anchor, { width, height }, gap, canvas) {
  const [right, bottom] = [anchor.left + anchor.width, anchor.top + anchor.height];
  const isRight = side === "aboveRight" || side === "belowRight";
  const inset = side === "insideBottom" || side === "insideTop" ? gap : 0;
  const wished = isRight ? right - width : anchor.left + inset;
  const left = Math.max(0, Math.min(wished, canvas.width - width));
  const top = {
    above: anchor.top - height - gap,
    aboveRight: anchor.top - height - gap,
    below: bottom + gap,
    belowRight: bottom + gap,
    insideBottom: Math.min(bottom, canvas.height) - height - gap,
    insideTop: Math.max(0, anchor.top) + gap,
  }[side];
  if (top < 0 || top + height > canvas.height) return null;
  return { left, top, width, height };
}

/** @param {Rectangle} one @param {Rectangle} other */
export function overlap(one, other) {
  return (
    one.left < other.left + other.width &&
    other.left < one.left + one.width &&
    one.top < other.top + other.height &&
    other.top < one.top + one.height
  );
}
