/**
 * What the browser keeps for the page. Some throw where storage is not allowed, some web views have none: there it
 * is kept as long as the page.
 *
 * @module
 */

/** @typedef {"localStorage" | "sessionStorage"} Store For good, or for the tab. */

/** @param {Store} store @param {string} name @returns {string} "" where none is kept. */
export function kept(store, name) {
  try {
    return window[store].getItem(name) ?? "";
  } catch {
    return "";
  }
}

/** @param {Store} store @param {string} name @param {string} value "" forgets it. */
export function keep(store, name, value) {
  try {
    if (value === "") window[store].removeItem(name);
    else window[store].setItem(name, value);
  } catch {
    return; // the page has it
  }
}
