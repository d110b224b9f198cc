/**
 * What leads back to a session after its connection is lost: by which token, to which server, and when.
 *
 * @module
 */

const BACKOFF_MS = [250, 500, 1000, 1500, 2000, 3000];

/** @typedef {{token: string, node: string | null}} Resume As `resume_token` and `node` of a `welcome`. */

export class ComingBack {
  /** @type {string | undefined} In place of the client's token, of a server that sends its clients elsewhere. */
  #passage;
  #failures = 0;
  #wake = () => {};
  /** @type {string | null} */
  resumeToken;
  /** @type {string | null} The server that has the session, of several behind one address. */
  node;

  /** @param {Resume | null} resume Of the session to go on with. */
  constructor(resume) {
    this.resumeToken = resume?.token ?? null;
    this.node = resume?.node ?? null;
  }

  /** @param {string | null} token The client's own. @returns {string | null} What the next `hello` says. */
  tokenOr(token) {
    return this.#passage ?? token;
  }

  /** @param {import("../shared/wire.js").Welcome} welcome */
  welcomed(welcome) {
    this.resumeToken = welcome.resume_token;
    this.#passage = undefined;
    this.node = welcome.node || null;
    this.#failures = 0;
  }

  /** There is a stream to watch, which has nothing to resume. */
  watching() {
    this.#failures = 0;
  }

  /** @param {import("./connection.js").End} end What follows from it for the next try. */
  ended(end) {
    this.#passage = end.token ?? this.#passage;
    if (end.moved) this.node = null;
  }

  /**
   * @param {boolean} refused The server said no before there was a session.
   * @param {number} retryAfterMs As it wished.
   * @returns {number} Until the next try, ms.
   */
  pauseAfter(refused, retryAfterMs) {
    if (refused && this.node !== null) {
      this.node = null; // it is gone, or has no place: another may have one
      return 0;
    }
    return Math.max(retryAfterMs, this.#backoff());
  }

  /** @param {number} ms Shorter where it is woken. */
  async pause(ms) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this.#wake = () => {};
  }

  /** Ends the pause, if there is one. */
  wake() {
    this.#wake();
  }

  /** With jitter, so that the clients of a restarted server do not all come in the same moment. */
  #backoff() {
    const pause = BACKOFF_MS[Math.min(this.#failures, BACKOFF_MS.length - 1)];
    this.#failures += 1;
    return pause * (0.8 + 0.4 * Math.random());
  }
}
