/**
 * `AbortSignal.timeout`, which Safari before 16 does not have.
 *
 * @module
 */

/** @param {number} ms @returns {AbortSignal} Aborts after so long. */
export function timeoutSignal(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new DOMException("timed out", "TimeoutError")), ms);
  return controller.signal;
}
