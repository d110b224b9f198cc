/**
 * What to find and how to show it: the switches, the slider, the choice of transport.
 *
 * @module
 */

import { element } from "./element.js";
import { WORDS, modelWords } from "./words.js";

/** Stages whose findings have a score that the slider is for. */
const SCORED = ["detect", "pose", "segment"];

/** Dispatches `pipeline`, `view` or `transport` where that changes, and `change` with each of them. */
export class Controls extends EventTarget {
  /** @type {HTMLInputElement[]} */
  #models = [...document.querySelectorAll("input[data-model]")].filter((i) => i instanceof HTMLInputElement);
  #threshold = element("threshold", HTMLInputElement);
  #way = element("way", HTMLSelectElement);

  /** @param {import("./settings.js").Settings} settings As they were on the last visit. */
  constructor(settings) {
    super();
    for (const input of this.#models) input.checked = settings.models.includes(input.dataset.model ?? "");
    this.#threshold.value = String(settings.confidence);
    this.#way.value = settings.jpegOnly ? "jpeg" : "auto";
    for (const name of /** @type {const} */ (["sync", "labels", "numbers", "shortcuts"])) {
      element(name, HTMLInputElement).checked = settings[name];
    }
    this.#showThreshold();
    this.#listen();
  }

  #listen() {
    for (const input of this.#models) input.addEventListener("change", () => this.#tell("pipeline"));
    this.#threshold.addEventListener("input", () => this.#showThreshold());
    this.#threshold.addEventListener("change", () => this.#tell("pipeline"));
    this.#way.addEventListener("change", () => this.#tell("transport"));
    for (const name of ["mirror", "sync", "labels", "numbers"]) {
      element(name, HTMLInputElement).addEventListener("change", () => this.#tell("view"));
    }
    element("shortcuts", HTMLInputElement).addEventListener("change", () => this.#tell(null));
  }

  /** For the settings. */
  get chosen() {
    return {
      models: this.#models.filter(({ checked }) => checked).map(({ dataset }) => dataset.model ?? ""),
      confidence: Number(this.#threshold.value),
      jpegOnly: this.jpegOnly,
      sync: isChecked("sync"),
      labels: isChecked("labels"),
      numbers: isChecked("numbers"),
      shortcuts: isChecked("shortcuts"),
    };
  }

  get jpegOnly() {
    return this.#way.value === "jpeg";
  }

  /** @returns {import("../shared/wire.js").PipelineConfig} */
  get pipeline() {
    const offered = this.#models.filter((input) => !input.disabled);
    const switches = Object.fromEntries(offered.map((input) => [input.dataset.model, input.checked]));
    const threshold = Number(this.#threshold.value) / 100;
    const scored = SCORED.map((model) => [`${model}_threshold`, threshold]);
    return { ...switches, ...Object.fromEntries(scored), ocr_on_settle: true };
  }

  /** @returns {import("../shared/bridge.js").View} */
  get view() {
    const [mirror, sync, labels, numbers] = ["mirror", "sync", "labels", "numbers"].map(isChecked);
    return { mirror, sync, labels, numbers };
  }

  /**
   * @param {Record<string, import("../shared/wire.js").Model>} models What this server runs, by stage.
   * @param {string} engine What it runs them with.
   * @returns {boolean} Whether it lacks something that could be wished for.
   */
  offer(models, engine) {
    for (const input of this.#models) {
      const stage = input.dataset.model ?? "";
      input.disabled = !(stage in models);
      const line = document.querySelector(`[data-model-of="${stage}"]`);
      if (line !== null) line.textContent = stage in models ? modelWords(models[stage]) : "";
    }
    const runsOn = element("runs-on", HTMLElement);
    runsOn.textContent = WORDS.engines[engine] ?? "";
    runsOn.hidden = runsOn.textContent === "";
    element("synthetic", HTMLElement).hidden = !Object.values(models).some((model) => model.synthetic);
    return this.#models.some((input) => input.disabled);
  }

  #showThreshold() {
    element("threshold-value", HTMLOutputElement).value = `${this.#threshold.value}%`;
  }

  /** @param {"pipeline" | "view" | "transport" | null} what */
  #tell(what) {
    if (what !== null) this.dispatchEvent(new Event(what));
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {string} id */
function isChecked(id) {
  return element(id, HTMLInputElement).checked;
}
