/**
 * What an operator wants to know when something is wrong; no picture and no text that was read is in it.
 *
 * @module
 */

import { element } from "./element.js";

export class Diagnostics {
  #machine;
  #output = element("diagnostics", HTMLElement);

  /** @type {import("../shared/bridge.js").Stats | null} */
  stats = null;
  session = "";
  notice = "";

  /** @param {import("./state.js").PageMachine} machine */
  constructor(machine) {
    this.#machine = machine;
    const details = this.#output.closest("details");
    details?.addEventListener("toggle", () => this.#show());
    setInterval(() => {
      if (details?.open) this.#show();
    }, 1000);
    element("copy", HTMLElement).addEventListener("click", () => this.#copy());
  }

  #show() {
    const { state, history } = this.#machine;
    const report = {
      time: new Date().toISOString(),
      page: location.origin,
      browser: navigator.userAgent,
      secure: isSecureContext,
      state,
      session: this.session,
      notice: this.notice,
      stats: this.stats,
      history,
    };
    this.#output.textContent = JSON.stringify(report, null, 2);
  }

  async #copy() {
    this.#show();
    try {
      await navigator.clipboard.writeText(this.#output.textContent ?? "");
    } catch {
      getSelection()?.selectAllChildren(this.#output); // an insecure origin has no clipboard: Ctrl+C does it
    }
  }
}
