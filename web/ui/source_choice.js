/**
 * Which source is chosen: the list, the file, the cameras that there are, and the other side of a phone.
 *
 * @module
 */

import { element } from "./element.js";
import { WORDS } from "./words.js";

/** The same film; not every browser reads H.264, not every one WebM. */
const SAMPLE = ["sample/street.mp4", "sample/street.webm"];
/** Name of a stream to watch, in the page's address: `?watch=door`. */
const WATCHED = new URLSearchParams(location.search).get("watch");

/** Dispatches `change` where another source is wanted, once a file is chosen. */
export class SourceChoice extends EventTarget {
  #select = element("source", HTMLSelectElement);
  #file = element("file", HTMLInputElement);
  #flip = element("flip", HTMLButtonElement);
  #last;
  /** @type {"" | "user" | "environment"} Of a phone's camera that was asked for. */
  #facing = "";

  /** @param {string} kept What was chosen on the last visit. */
  constructor(kept) {
    super();
    if (WATCHED !== null) this.#select.add(new Option(WORDS.watch(WATCHED), "watch"));
    // Phones share no screen.
    const canShare = !isSecureContext || navigator.mediaDevices?.getDisplayMedia !== undefined;
    if (!canShare) this.#select.querySelector('[value="screen"]')?.remove();
    this.#select.value = WATCHED === null ? kept : "watch";
    if (this.#select.value === "") this.#select.value = "camera";
    this.#last = this.#select.value;
    this.#select.addEventListener("change", () => this.#choose());
    this.#file.addEventListener("change", () => this.#changed());
    this.#file.addEventListener("cancel", () => this.goBack());
    this.#flip.addEventListener("click", () => this.#turn());
  }

  /** As in the list: a kind, or the id of a camera. */
  get value() {
    return this.#select.value;
  }

  /** @param {string} kind To be chosen, as if the user had done it in the list. */
  choose(kind) {
    this.#select.value = kind;
    this.#choose();
  }

  /** @param {string} kind To be chosen; a file is asked for at Start. */
  prefer(kind) {
    this.#facing = "";
    this.#select.value = kind;
    this.#changed();
  }

  /** The last one, as the one that was wanted cannot be had. */
  goBack() {
    this.#select.value = this.#last;
  }

  /** @returns {import("../shared/bridge.js").Source | null} null while a file is to be chosen. */
  get wanted() {
    switch (this.value) {
      case "screen":
        return { kind: "screen" };
      case "file":
        return this.#file.files?.length ? { kind: "file", file: this.#file.files[0] } : null;
      case "sample":
        return { kind: "sample", urls: SAMPLE.map((path) => new URL(path, location.href).href) };
      case "watch":
        return { kind: "watch", name: WATCHED ?? "" };
      case "camera":
        return { kind: "camera", ...(this.#facing && { facing: this.#facing }) };
      default:
        return { kind: "camera", deviceId: this.value };
    }
  }

  /** The browser's dialog, at a touch of the user. */
  askForFile() {
    this.#file.value = "";
    this.#file.click();
  }

  /** @param {string} facing Of the camera that is open, "" for everything else: phones have another on the other side. */
  opened(facing) {
    this.#last = this.value;
    this.#flip.hidden = facing !== "user" && facing !== "environment";
    if (this.#flip.hidden) return;
    const other = facing === "user" ? "environment" : "user";
    this.#flip.textContent = WORDS.facing[other];
    this.#flip.value = other;
  }

  closed() {
    this.#flip.hidden = true;
  }

  /** @param {import("../shared/bridge.js").Cameras["cameras"]} cameras That there are now. */
  offer(cameras) {
    const ids = new Set(cameras.map(({ deviceId }) => deviceId));
    for (const option of [...this.#select.options]) {
      if ("camera" in option.dataset && !option.selected && !ids.has(option.value)) option.remove();
    }
    const known = new Set([...this.#select.options].map(({ value }) => value));
    for (const { deviceId, label } of cameras) {
      if (cameras.length < 2 || known.has(deviceId)) continue;
      const option = new Option(label, deviceId);
      option.dataset.camera = "";
      this.#select.append(option);
    }
  }

  #turn() {
    this.#facing = this.#flip.value === "user" ? "user" : "environment";
    this.#select.value = "camera";
    this.#changed();
  }

  #choose() {
    this.#facing = "";
    if (this.value === "file") this.askForFile();
    else this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
