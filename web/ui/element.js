/**
 * Elements of the page by id.
 *
 * @module
 */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new (...args: any[]) => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new TypeError(`#${id} is not a ${type.name} of this page`);
}
