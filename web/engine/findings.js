/**
 * What is in the picture, by kind: how many of each, and the same without those kinds that are not wanted.
 *
 * @module
 */

/** Poses are of these. */
export const PERSON = "person";
/** What fades away is gone already. */
const THERE = 0.5;

/** @typedef {ReturnType<import("./scene.js").Scene["at"]>} Content */

/**
 * @param {Content} content
 * @returns {Record<string, number>} By label, each thing once, whatever found it.
 */
export function countByLabel({ detections, poses, segments }) {
  const boxed = new Set(detections.map(({ id }) => id));
  const things = [...detections, ...segments.filter(({ id }) => !boxed.has(id))].filter(({ opacity }) => opacity >= THERE);
  const counts = /** @type {Map<string, number>} */ (new Map());
  for (const { data } of things) counts.set(data.label, (counts.get(data.label) ?? 0) + 1);
  const people = poses.filter(({ opacity }) => opacity >= THERE).length;
  if (people > (counts.get(PERSON) ?? 0)) counts.set(PERSON, people);
  return Object.fromEntries(counts);
}

/**
 * @param {Content} content
 * @param {readonly string[]} hidden Labels.
 * @returns {Content}
 */
export function without(content, hidden) {
  if (hidden.length === 0) return content;
  return {
    ...content,
    detections: content.detections.filter(({ data }) => !hidden.includes(data.label)),
    segments: content.segments.filter(({ data }) => !hidden.includes(data.label)),
    poses: hidden.includes(PERSON) ? [] : content.poses,
  };
}
