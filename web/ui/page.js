/**
 * The control page: reads the controls, shows the state. Touches no video itself.
 *
 * @module
 */

import { FailureCode } from "../shared/failure.js";
import { Transport } from "../shared/transport.js";
import { Cover } from "./cover.js";
import { Diagnostics } from "./diagnostics.js";
import { element } from "./element.js";
import { EngineFrame } from "./engine_frame.js";
import { Gauges } from "./gauges.js";
import { Lifecycle } from "./lifecycle.js";
import { SessionControl } from "./session_control.js";
import { PageMachine, PageState } from "./state.js";
import { TextLog } from "./text_log.js";
import { STATE_WORDS, TRANSPORT_WORDS, clockWords } from "./words.js";

/**
 * What the server that serves this page says about the deployment.
 *
 * @typedef {object} Config
 * @property {string | null} api Base address of the service that starts the GPU machine.
 */

const KEY = "access-key";
const SAMPLE = "sample/street.mp4";
const NOT_MIRRORED = new Set(["screen", "file", "sample"]);

/** @returns {Promise<Config>} */
async function loadConfig() {
  try {
    const response = await fetch("config.json", { cache: "no-store" });
    return response.ok ? await response.json() : { api: null };
  } catch {
    return { api: null }; // the server is away; Start says so, and tries again
  }
}

class Page {
  #config;
  #machine = new PageMachine();
  #engine = new EngineFrame(element("picture", HTMLElement));
  #control;
  #cover;
  #gauges = new Gauges(element("gauges", HTMLElement));
  #log = new TextLog(element("log", HTMLOListElement));
  #diagnostics;
  #startStop = element("start-stop", HTMLButtonElement);
  #source = element("source", HTMLSelectElement);
  #file = element("file", HTMLInputElement);
  #key = element("key", HTMLInputElement);
  #readNow = element("read-now", HTMLButtonElement);
  /** @type {HTMLInputElement[]} */
  #models = [...document.querySelectorAll("input[data-model]")].filter((i) => i instanceof HTMLInputElement);
  #threshold = element("threshold", HTMLInputElement);

  /** @param {Config} config */
  constructor(config) {
    this.#config = config;
    this.#key.value = sessionStorage.getItem(KEY) ?? "";
    const lifecycle = config.api === null ? null : new Lifecycle(config.api, () => this.#key.value);
    this.#control = new SessionControl(this.#machine, this.#engine, lifecycle, () => this.#key.value);
    this.#cover = new Cover(this.#machine);
    this.#diagnostics = new Diagnostics(this.#machine);
    this.#machine.addEventListener("change", () => this.#showState());
    this.#control.addEventListener("lease", () => this.#showLease());
    this.#control.addEventListener("engine", (event) => {
      const { detail } = /** @type {CustomEvent<import("../shared/bridge.js").EngineMessage>} */ (event);
      this.#receive(detail);
    });
    this.#listenToControls();
    this.#listenToKeys();
    setInterval(() => this.#showLease(), 1000);
    this.#showState();
  }

  #listenToControls() {
    this.#startStop.addEventListener("click", () => this.#toggle());
    element("cover-button", HTMLElement).addEventListener("click", () => this.#start());
    element("key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    this.#source.addEventListener("change", () => this.#chooseSource());
    this.#file.addEventListener("change", () => this.#start());
    for (const input of this.#models) input.addEventListener("change", () => this.#configure());
    this.#threshold.addEventListener("input", () => this.#showThreshold());
    this.#threshold.addEventListener("change", () => this.#configure());
    for (const name of ["mirror", "sync", "labels"]) {
      element(name, HTMLInputElement).addEventListener("change", () => {
        this.#engine.send({ type: "view", view: this.#view() });
      });
    }
    this.#readNow.addEventListener("click", () => this.#engine.send({ type: "trigger" }));
    element("retry", HTMLElement).addEventListener("click", () => this.#engine.send({ type: "retry" }));
    element("keep-alive", HTMLElement).addEventListener("click", () => this.#control.keepAlive());
    element("turn-off", HTMLElement).addEventListener("click", () => this.#askWhatToStop());
    element("full-screen", HTMLElement).addEventListener("click", toggleFullScreen);
    const dialog = element("stop-dialog", HTMLDialogElement);
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "session") this.#control.stop();
      if (dialog.returnValue === "machine") this.#control.stopMachine();
    });
  }

  #listenToKeys() {
    /** @type {Record<string, () => void>} */
    const actions = {
      s: () => this.#toggle(),
      t: () => this.#readNow.click(),
      m: () => element("mirror", HTMLInputElement).click(),
      f: toggleFullScreen,
    };
    document.addEventListener("keydown", (event) => {
      const busy = "input:not([type=checkbox]), select, dialog"; // letters mean something else there
      const typing = event.target instanceof Element && event.target.closest(busy);
      if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      actions[event.key.toLowerCase()]?.();
    });
  }

  #isRunning() {
    return this.#machine.state !== PageState.IDLE && this.#machine.state !== PageState.FAILED;
  }

  #toggle() {
    if (!this.#isRunning()) {
      this.#start();
    } else if (this.#config.api === null) {
      this.#control.stop();
    } else {
      this.#askWhatToStop();
    }
  }

  /** Of the session and the GPU machine; where no session runs, only the machine is left. */
  #askWhatToStop() {
    const running = this.#isRunning();
    element("stop-title", HTMLElement).textContent = `Stop the GPU machine${running ? " too" : ""}?`;
    element("stop-session", HTMLElement).hidden = !running;
    element("stop-machine", HTMLElement).textContent = running ? "The machine too" : "Stop it";
    const dialog = element("stop-dialog", HTMLDialogElement);
    dialog.returnValue = "";
    dialog.showModal();
  }

  #start() {
    const source = this.#chosenSource();
    if (source === null) {
      this.#file.click();
      return;
    }
    sessionStorage.setItem(KEY, this.#key.value);
    this.#log.clear();
    this.#control.start(() => ({ source, pipeline: this.#pipeline(), view: this.#view() }));
  }

  #chooseSource() {
    const mirror = element("mirror", HTMLInputElement);
    mirror.checked = !NOT_MIRRORED.has(this.#source.value); // text in a clip is not to be read backwards
    this.#file.value = "";
    this.#cover.source = this.#source.value;
    if (this.#isRunning()) this.#control.stop();
    else if (this.#source.value === "file") this.#file.click();
  }

  /** Browsers name the cameras only once one was allowed. */
  async #listCameras() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const cameras = devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId !== "");
    const known = new Set([...this.#source.options].map(({ value }) => value));
    for (const { deviceId, label } of cameras) {
      if (cameras.length > 1 && !known.has(deviceId)) this.#source.append(new Option(label, deviceId));
    }
  }

  /** @returns {import("../shared/bridge.js").Source | null} null while a file is to be chosen. */
  #chosenSource() {
    switch (this.#source.value) {
      case "screen":
        return { kind: "screen" };
      case "file":
        return this.#file.files?.length ? { kind: "file", file: this.#file.files[0] } : null;
      case "sample":
        return { kind: "sample", url: new URL(SAMPLE, location.href).href };
      case "camera":
        return { kind: "camera" };
      default:
        return { kind: "camera", deviceId: this.#source.value };
    }
  }

  /** @returns {import("../shared/wire.js").PipelineConfig} */
  #pipeline() {
    const offered = this.#models.filter((input) => !input.disabled);
    const switches = Object.fromEntries(offered.map((input) => [input.dataset.model, input.checked]));
    const threshold = Number(this.#threshold.value) / 100;
    const scored = ["detect", "pose", "segment"].map((model) => [`${model}_threshold`, threshold]);
    return { ...switches, ...Object.fromEntries(scored), ocr_on_settle: true };
  }

  /** @returns {import("../shared/bridge.js").View} */
  #view() {
    /** @param {string} id */
    const checked = (id) => element(id, HTMLInputElement).checked;
    return { mirror: checked("mirror"), sync: checked("sync"), labels: checked("labels") };
  }

  /** @param {string[]} models What this server runs. */
  #offer(models) {
    for (const input of this.#models) input.disabled = !models.includes(input.dataset.model ?? "");
    this.#readNow.disabled = !models.includes("ocr");
    // A wish for a model that is not there is refused as a whole, the rest of it too: ask again without.
    if (this.#models.some((input) => input.disabled)) this.#configure();
  }

  #configure() {
    this.#engine.send({ type: "configure", pipeline: this.#pipeline() });
  }

  /** @param {import("../shared/bridge.js").EngineMessage} message */
  #receive(message) {
    switch (message.type) {
      case "stats":
        this.#gauges.show(message);
        this.#showTransport(message.transport);
        this.#cover.bridged = message.transport === Transport.JPEG;
        this.#diagnostics.stats = message;
        return;
      case "texts":
        this.#log.add(message);
        return;
      case "welcome":
        this.#diagnostics.session = message.session;
        this.#offer(message.models);
        return;
      case "opened":
        element("picture", HTMLElement).style.setProperty("--aspect", `${message.width / message.height}`);
        this.#listCameras();
        return;
      case "notice":
        this.#diagnostics.notice = `${message.code}: ${message.message}`;
    }
  }

  #showState() {
    const { state, reason } = this.#machine;
    const running = this.#isRunning();
    document.body.dataset.state = state;
    element("state", HTMLElement).textContent = STATE_WORDS[state];
    this.#startStop.textContent = running ? "Stop" : "Start";
    this.#startStop.classList.toggle("danger", running);
    this.#startStop.disabled = state === PageState.STOPPING;
    if (state === PageState.FAILED && reason?.code === FailureCode.UNAUTHORIZED) this.#forgetKey();
    if (!running) {
      this.#gauges.clear();
      this.#readNow.disabled = true;
      this.#showTransport(Transport.NONE);
    }
  }

  /** It opens nothing; the cover asks for another. */
  #forgetKey() {
    sessionStorage.removeItem(KEY);
    this.#key.value = "";
    this.#key.focus();
  }

  /** @param {import("../shared/transport.js").TransportValue} transport */
  #showTransport(transport) {
    const badge = element("transport", HTMLElement);
    const words = TRANSPORT_WORDS[transport];
    badge.hidden = transport === Transport.NONE;
    badge.textContent = words.label;
    badge.title = words.title;
  }

  #showLease() {
    const { stopsAt } = this.#control;
    element("lease", HTMLElement).hidden = stopsAt === null;
    if (stopsAt !== null) {
      element("countdown", HTMLElement).textContent = `stops in ${clockWords(stopsAt - Date.now())}`;
    }
  }

  #showThreshold() {
    element("threshold-value", HTMLOutputElement).value = `${this.#threshold.value}%`;
  }
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else element("picture", HTMLElement).requestFullscreen();
}

new Page(await loadConfig());
