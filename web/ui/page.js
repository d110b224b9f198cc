/**
 * The control page: reads the controls, shows the state. Touches no video itself.
 *
 * @module
 */

import { FailureCode } from "../shared/failure.js";
import { timeoutSignal } from "../shared/timeout_signal.js";
import { Transport } from "../shared/transport.js";
import { Controls } from "./controls.js";
import { CountingBar } from "./counting.js";
import { Cover } from "./cover.js";
import { Diagnostics } from "./diagnostics.js";
import { element } from "./element.js";
import { EngineFrame } from "./engine_frame.js";
import { FilmBar } from "./film_bar.js";
import { Findings } from "./findings.js";
import { Gauges } from "./gauges.js";
import { keep, kept } from "./kept.js";
import { LeaseBar } from "./lease_bar.js";
import { Lifecycle } from "./lifecycle.js";
import { Mirroring } from "./mirroring.js";
import { ReadNow } from "./read_now.js";
import { Save } from "./save.js";
import { SessionControl } from "./session_control.js";
import { keepSettings, loadSettings } from "./settings.js";
import { listenToKeys } from "./shortcuts.js";
import { SourceChoice } from "./source_choice.js";
import { PageMachine, PageState } from "./state.js";
import { TextLog } from "./text_log.js";
import { WakeLock } from "./wake_lock.js";
import { WORDS, busyWords, stateWords, writePage } from "./words.js";

/**
 * What the server that serves this page says about the deployment.
 *
 * @typedef {object} Config
 * @property {string | null} api Base address of the service that starts the GPU machine.
 * @property {boolean} [synthetic] The server's models know drawn scenes only.
 */

/** Nothing can be started before it is answered. */
const CONFIG_TIMEOUT_MS = 5000;
const KEY_NAME = "access-key";
/** @type {Set<import("./state.js").PageStateValue>} Of these no session runs. */
const AT_REST = new Set([PageState.IDLE, PageState.FAILED]);
/** @type {Set<string>} They ask for a key. */
const OF_KEY = new Set([FailureCode.UNAUTHORIZED, FailureCode.KEY_NEEDED]);

/** @returns {Promise<Config>} */
async function loadConfig() {
  try {
    const response = await fetch("config.json", { cache: "no-store", signal: timeoutSignal(CONFIG_TIMEOUT_MS) });
    return response.ok ? await response.json() : { api: null };
  } catch {
    return { api: null }; // the server is away; Start says so, and tries again
  }
}

class Page {
  #config;
  #settings = loadSettings();
  #machine = new PageMachine();
  #engine = new EngineFrame(element("picture", HTMLElement));
  #control;
  #cover;
  #findings = new Findings();
  #gauges = new Gauges(element("gauges", HTMLElement));
  #log = new TextLog(element("log", HTMLOListElement), element("newest-text", HTMLElement));
  #diagnostics;
  #sources;
  #mirroring = new Mirroring(element("mirror", HTMLInputElement), this.#settings.mirror);
  #controls = new Controls(this.#settings);
  #readNow = new ReadNow(() => this.#engine.send({ type: "trigger" }));
  #film = new FilmBar((message) => this.#engine.send(message));
  #counting = new CountingBar();
  #save = new Save(() => this.#engine.send({ type: "snapshot" }));
  #wakeLock = new WakeLock();
  #startStop = element("start-stop", HTMLButtonElement);
  #key = element("key", HTMLInputElement);
  /** What is shown is another's stream. */
  #watching = false;

  /** @param {Config} config */
  constructor(config) {
    this.#config = config;
    this.#sources = new SourceChoice(this.#settings.source ?? (config.synthetic ? "sample" : "camera"));
    this.#key.value = kept("sessionStorage", KEY_NAME);
    const lifecycle = config.api === null ? null : new Lifecycle(config.api, () => this.#key.value);
    this.#control = new SessionControl(this.#machine, this.#engine, lifecycle, () => this.#key.value);
    this.#cover = new Cover(this.#machine, config.synthetic === true, (kind) => this.#sources.prefer(kind));
    this.#diagnostics = new Diagnostics(this.#machine);
    this.#machine.addEventListener("change", () => this.#showState());
    new LeaseBar(this.#control, () => this.#askWhatToStop());
    this.#control.addEventListener("engine", (event) => {
      const { detail } = /** @type {CustomEvent<import("../shared/bridge.js").EngineMessage>} */ (event);
      this.#receive(detail);
    });
    element("full-screen", HTMLElement).hidden = !document.fullscreenEnabled; // iPhones show nothing but a video there
    this.#listen();
    listenToKeys({
      s: () => this.#toggle(),
      t: () => this.#readNow.click(),
      m: () => element("mirror", HTMLInputElement).click(),
      f: toggleFullScreen,
    });
    this.#cover.source = this.#sources.value;
    this.#mirroring.show(this.#sources.value, "");
    this.#showState();
    document.body.dataset.started = "true";
  }

  #listen() {
    /** @param {string} id @param {() => void} action */
    const onClick = (id, action) => element(id, HTMLElement).addEventListener("click", action);
    onClick("start-stop", () => this.#toggle());
    onClick("cover-button", () => this.#start());
    onClick("play-file", () => this.#sources.choose("file"));
    onClick("play-sample", () => {
      this.#sources.choose("sample");
      this.#start();
    });
    onClick("retry", () => this.#control.retry());
    onClick("full-screen", toggleFullScreen);
    element("key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    this.#sources.addEventListener("change", () => this.#changeSource());
    this.#controls.addEventListener("pipeline", () => this.#configure());
    this.#controls.addEventListener("view", () => this.#tellView());
    this.#findings.addEventListener("change", () => this.#tellView());
    this.#counting.addEventListener("change", () => this.#tellRegion());
    this.#controls.addEventListener("transport", () => {
      this.#cover.jpegOnly = this.#controls.jpegOnly;
      this.#engine.send({ type: "transport", jpegOnly: this.#controls.jpegOnly });
    });
    this.#controls.addEventListener("change", () => this.#keep());
    const dialog = element("stop-dialog", HTMLDialogElement);
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "session") this.#control.stop();
      if (dialog.returnValue === "machine") this.#control.stopMachine();
    });
  }

  #keep() {
    const source = this.#sources.value;
    keepSettings({ ...this.#settings, ...this.#controls.chosen, source });
  }

  get #isRunning() {
    return !AT_REST.has(this.#machine.state);
  }

  #toggle() {
    if (this.#machine.state === PageState.STOPPING) return;
    if (!this.#isRunning) {
      this.#start();
    } else if (this.#config.api === null) {
      this.#control.stop();
    } else {
      this.#askWhatToStop();
    }
  }

  /** Of the session and the GPU machine; where no session runs, only the machine is left. */
  #askWhatToStop() {
    const running = this.#isRunning;
    element("stop-title", HTMLElement).textContent = running ? WORDS.machine.stopBoth : WORDS.machine.stop;
    element("stop-session", HTMLElement).hidden = !running;
    element("stop-machine", HTMLElement).textContent = running ? WORDS.machine.both : WORDS.machine.it;
    const dialog = element("stop-dialog", HTMLDialogElement);
    dialog.returnValue = "";
    dialog.showModal();
  }

  #start() {
    if (this.#sources.wanted === null) {
      this.#sources.askForFile();
      return;
    }
    keep("sessionStorage", KEY_NAME, this.#key.value);
    this.#log.clear();
    this.#save.clear();
    this.#cover.opened = false;
    this.#cover.jpegOnly = this.#controls.jpegOnly;
    this.#watching = this.#sources.value === "watch";
    this.#control.start(() => this.#wishes());
  }

  /** @returns {import("./session_control.js").Wishes} */
  #wishes() {
    const { pipeline, jpegOnly } = this.#controls;
    const view = this.#view;
    const source = this.#sources.wanted ?? { kind: "camera" };
    const { overlay, play, person, ago } = WORDS.engine;
    return { source, pipeline, view, jpegOnly, words: { overlay, play, person, ago } };
  }

  /** The session goes on with another source, but not with the stream of another. */
  #changeSource() {
    const { value, wanted } = this.#sources;
    this.#cover.source = value;
    this.#mirroring.show(value, "");
    this.#keep();
    if (!this.#isRunning) {
      if (value === "file" && wanted !== null) this.#start();
    } else if (this.#watching || value === "watch") {
      this.#control.stop();
    } else if (wanted !== null) {
      this.#engine.send({ type: "source", source: wanted });
      this.#tellView();
    }
  }

  /** @returns {import("../shared/bridge.js").View} */
  get #view() {
    return { ...this.#controls.view, hidden: this.#findings.hidden };
  }

  #tellView() {
    this.#engine.send({ type: "view", view: this.#view });
  }

  #tellRegion() {
    const { region, drawing } = this.#counting;
    this.#engine.send({ type: "region", region, drawing });
  }

  #configure() {
    this.#engine.send({ type: "configure", pipeline: this.#controls.pipeline });
  }

  /** @param {import("../shared/bridge.js").EngineMessage} message */
  #receive(message) {
    switch (message.type) {
      case "stats":
        this.#gauges.show(message);
        this.#findings.show(message.counts);
        this.#film.show(message.film ?? null);
        this.#counting.show(message.crossings ?? null);
        this.#save.add(message.lines);
        this.#showAge(message.resultAgeMs);
        this.#showTransport(message.transport);
        this.#cover.bridged = message.transport === Transport.JPEG;
        this.#cover.network = message;
        this.#diagnostics.stats = message;
        return;
      case "texts":
        this.#log.add(message);
        this.#readNow.read(message.texts.length > 0);
        return;
      case "welcome":
        this.#diagnostics.session = message.session;
        this.#readNow.possible = "ocr" in message.models;
        // A wish for a model that is not there is refused as a whole, the rest of it too: ask again without.
        if (this.#controls.offer(message.models, message.engine)) this.#configure();
        return;
      case "opened":
        this.#opened(message);
        return;
      case "kept":
        this.#sources.goBack();
        this.#cover.tell(message.code);
        return;
      case "tap":
        this.#cover.tap = message.needed;
        return;
      case "cameras":
        this.#sources.offer(message.cameras);
        return;
      case "drawn":
        this.#counting.drawn(message.points);
        return;
      case "snapshot":
        this.#save.picture(message.picture);
        return;
      case "degraded":
        this.#showBusy(message.stages);
        return;
      case "notice":
        this.#diagnostics.notice = `${message.code}: ${message.message}`;
    }
  }

  /** @param {import("../shared/bridge.js").Opened} message */
  #opened({ width, height, facing }) {
    element("picture", HTMLElement).style.setProperty("--aspect", `${width / height}`);
    this.#cover.opened = true;
    this.#sources.opened(facing);
    this.#mirroring.show(this.#sources.value, facing);
    this.#save.possible = true;
    this.#tellView();
    this.#tellRegion();
  }

  #showState() {
    const { state, reason, wasLive } = this.#machine;
    const running = this.#isRunning;
    document.body.dataset.state = state;
    element("state", HTMLElement).textContent = stateWords(state, reason?.code ?? null, wasLive);
    this.#startStop.textContent = running ? WORDS.stop : WORDS.start;
    this.#startStop.classList.toggle("primary", running); // at rest that is the cover's
    this.#startStop.classList.toggle("danger", running);
    // Not `disabled`, which takes the focus away.
    this.#startStop.setAttribute("aria-disabled", String(state === PageState.STOPPING));
    this.#startStop.disabled = false; // it is in the HTML, until this page listens
    this.#wakeLock.wanted = running;
    if (state === PageState.FAILED && OF_KEY.has(reason?.code ?? "")) this.#askForKey(reason?.code ?? "");
    if (running) return;
    this.#gauges.clear();
    this.#findings.clear();
    this.#film.show(null);
    this.#counting.show(null);
    this.#save.possible = false;
    this.#showAge(null);
    this.#readNow.possible = false;
    this.#sources.closed();
    this.#cover.tap = false;
    this.#showTransport(Transport.NONE);
    this.#showBusy([]);
  }

  /** @param {string} code One that was refused opens nothing. */
  #askForKey(code) {
    if (code === FailureCode.UNAUTHORIZED) {
      keep("sessionStorage", KEY_NAME, "");
      this.#key.value = "";
    }
    this.#key.focus();
  }

  /** @param {number | null} ms Of the results. */
  #showAge(ms) {
    const badge = element("age", HTMLElement);
    badge.hidden = ms === null;
    if (ms !== null) badge.textContent = WORDS.age(10 * Math.round(ms / 10));
  }

  /** @param {import("../shared/transport.js").TransportValue} transport */
  #showTransport(transport) {
    const badge = element("transport", HTMLElement);
    const words = WORDS.transports[transport];
    badge.hidden = transport === Transport.NONE;
    badge.textContent = words.label;
    badge.title = words.title;
  }

  /** @param {import("../shared/wire.js").Stage[]} stages */
  #showBusy(stages) {
    const badge = element("busy", HTMLElement);
    badge.textContent = busyWords(stages);
    badge.hidden = badge.textContent === "";
  }
}

function toggleFullScreen() {
  if (!document.fullscreenEnabled) return;
  if (document.fullscreenElement) document.exitFullscreen();
  else element("stage", HTMLElement).requestFullscreen();
}

writePage();
new Page(await loadConfig());
