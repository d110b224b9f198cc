/**
 * Colours by name: a kind of thing has the same one on the picture and in the list of what was found.
 *
 * @module
 */

/** Keeps neighbours far apart. */
const GOLDEN_ANGLE = 137.508;
/** Hues that are far apart for what is seen most; others have one of their own by their letters. @type {Record<string, number>} */
const HUES = {
  person: 150,
  car: 200,
  truck: 240,
  bird: 265,
  bicycle: 285,
  cat: 320,
  "traffic light": 345,
  dog: 30,
  bus: 55,
  chair: 95,
};

/**
 * @param {string} label
 * @returns {number} Degrees.
 */
export function hueOf(label) {
  if (Object.hasOwn(HUES, label)) return HUES[label];
  let hash = 0;
  for (const letter of label) hash = (hash * 31 + /** @type {number} */ (letter.codePointAt(0))) % 0xffff;
  return Math.round((hash * GOLDEN_ANGLE) % 360);
}

/** @param {string} label Of a kind. */
export function colourOfKind(label) {
  return `hsl(${hueOf(label)} 85% 62%)`;
}

/**
 * One hue a person, whose left is lighter than the right.
 *
 * @param {number} id
 * @param {"left" | "right" | "middle"} side Of the body.
 */
export function colourOfPerson(id, side) {
  const lightness = { left: 76, middle: 66, right: 56 }[side];
  return `hsl(${Math.round((id * GOLDEN_ANGLE + 150) % 360)} 90% ${lightness}%)`;
}
