/**
 * One session from Start to Stop: the GPU machine where there is one to start, then the engine.
 *
 * @module
 */

import { Failure, FailureCode } from "../shared/failure.js";
import { Restarts } from "./restarts.js";
import { PageState } from "./state.js";

const STATUS_INTERVAL_MS = 30_000;
/** An engine has stopped when the server has let go of its session; one that waits for the camera never says so. */
const STOP_TIMEOUT_MS = 2000;
/** Between tries of a server that is away, where the engine itself cannot try. */
const AWAY_RETRY_MS = 2000;

/** @type {Set<import("./state.js").PageStateValue>} In these the GPU machine runs, if nobody has stopped it. */
const HAS_MACHINE = new Set([PageState.LIVE, PageState.DEGRADED, PageState.PAUSED, PageState.RECONNECTING]);

/** @type {Set<import("./state.js").PageStateValue>} Live, but for one thing. */
const TROUBLED = new Set([PageState.DEGRADED, PageState.PAUSED]);

/**
 * @typedef {import("../shared/bridge.js").EngineMessage} EngineMessage
 * @typedef {Omit<import("../shared/bridge.js").Start, "type" | "url" | "token" | "resume">} Wishes What to show and find.
 */

/** Dispatches `engine` (`CustomEvent<EngineMessage>`) for what is not about its state, and `lease`. */
export class SessionControl extends EventTarget {
  #machine;
  #engine;
  #lifecycle;
  #key;
  #abort = new AbortController();
  #stopTimer = 0;
  /** Until the engine is started again; 0 while none is waited for. */
  #restartTimer = 0;
  #restarts = new Restarts();
  #asking = false;
  #address = location.href;
  /** @type {string | null} */
  #token = null;
  /** @type {import("../shared/bridge.js").Resume | null} What leads the next engine back to the session of this one. */
  #resume = null;
  /** @type {() => Wishes} */
  #wishes = () => {
    throw new Error("not started");
  };
  /** The server does not reach what runs its models. */
  #degraded = false;
  /** @type {string | null} Why no pictures come; null while they do. */
  #pause = null;
  /** The token of this try was asked for because the last one was refused. */
  #renewed = false;

  /** @type {number | null} When the GPU machine stops by itself, Unix ms. */
  stopsAt = null;

  /** @type {{run_usd: number, month_usd: number} | null} What the machine has cost; null where that is not told. */
  cost = null;

  /**
   * @param {import("./state.js").PageMachine} machine
   * @param {import("./engine_frame.js").EngineFrame} engine
   * @param {import("./lifecycle.js").Lifecycle | null} lifecycle
   * @param {() => string} key The user's access key, "" for none.
   */
  constructor(machine, engine, lifecycle, key) {
    super();
    this.#machine = machine;
    this.#engine = engine;
    this.#lifecycle = lifecycle;
    this.#key = key;
    engine.addEventListener("message", (event) => {
      this.#receive(/** @type {CustomEvent<EngineMessage>} */ (event).detail);
    });
    engine.addEventListener("lost", () => this.#engineLost());
    engine.addEventListener("away", () => this.#restart(FailureCode.SERVER_UNREACHABLE, "", AWAY_RETRY_MS));
    // Back from another page: the browser has closed sockets and cameras meanwhile (HTML, 7.4.6.2).
    addEventListener("pageshow", ({ persisted }) => {
      if (persisted) this.#restart(FailureCode.CONNECTION_LOST, "the page was left", 0);
    });
    setInterval(() => {
      if (HAS_MACHINE.has(this.#machine.state) || this.stopsAt !== null) this.#refreshLease();
    }, STATUS_INTERVAL_MS);
    // Whoever comes back to the page, or opens it, sees a machine that runs on.
    document.addEventListener("visibilitychange", () => this.#refreshLease());
    this.#refreshLease();
  }

  /** @param {() => Wishes} wishes Asked when it comes to that: a machine takes minutes to boot. */
  start(wishes) {
    this.#wishes = wishes;
    this.#renewed = false;
    this.#resume = null;
    this.#restarts.forget();
    if (this.#lifecycle === null) this.#connect(location.href, this.#key() || null);
    else if (this.#machine.send("startGpu")) this.#connectToMachine(this.#lifecycle);
  }

  /** Ends the session; the GPU machine runs on until its time is up. */
  stop() {
    this.#abort.abort();
    const isWaiting = this.#restartTimer !== 0;
    this.#dropRestart();
    if (!this.#machine.send("stop")) return;
    this.#engine.send({ type: "stop" });
    this.#stopTimer = setTimeout(() => this.#stopped(), isWaiting ? 0 : STOP_TIMEOUT_MS);
  }

  /** Tries again now, if it waits to. */
  retry() {
    if (this.#restartTimer === 0) this.#engine.send({ type: "retry" });
    else this.#begin();
  }

  /** Ends the session, then the GPU machine, which is not stopped under a session. */
  async stopMachine() {
    this.stop();
    while (this.#machine.state === PageState.STOPPING) {
      await new Promise((resolve) => this.#machine.addEventListener("change", resolve, { once: true }));
    }
    try {
      this.#lease(await this.#lifecycle?.stop());
    } catch (error) {
      this.#machine.send("refused", { code: FailureCode.GPU_RUNS_ON, detail: words(error), retryAt: null });
    }
  }

  /**
   * Moves the time at which the GPU machine stops.
   *
   * @param {number} [minutes] From now, in place of the usual time.
   */
  async keepAlive(minutes) {
    try {
      this.#lease(await this.#lifecycle?.start(minutes));
    } catch {
      return; // the countdown goes on as it was, which says it all
    }
  }

  /** @param {string} address @param {string | null} token */
  #connect(address, token) {
    if (!this.#machine.send("connect")) return;
    this.#address = address;
    this.#token = token;
    this.#begin();
  }

  #begin() {
    this.#dropRestart();
    const url = new URL("/ws/inference", this.#address).href.replace(/^http/, "ws");
    const [token, resume] = [this.#token, this.#resume];
    this.#engine.start({ type: "start", url, token, resume, ...this.#wishes() });
  }

  #engineLost() {
    const pause = this.#restarts.pause(performance.now());
    if (pause === null) this.#fail(FailureCode.ENGINE_LOST, "");
    else this.#restart(FailureCode.ENGINE_LOST, "", pause);
  }

  /**
   * Another engine goes on with the session.
   *
   * @param {import("../shared/failure.js").FailureCodeValue} code @param {string} detail @param {number} pauseMs
   */
  #restart(code, detail, pauseMs) {
    if (!this.#machine.send("lost", { code, detail, retryAt: performance.now() + pauseMs })) return;
    this.#dropRestart();
    this.#restartTimer = setTimeout(() => this.#begin(), pauseMs);
  }

  #dropRestart() {
    clearTimeout(this.#restartTimer);
    this.#restartTimer = 0;
  }

  /** @param {import("./lifecycle.js").Lifecycle} lifecycle */
  async #connectToMachine(lifecycle) {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    try {
      const status = await lifecycle.startAndWait(({ message, wait_s: wait }) => {
        const retryAt = wait === null ? null : performance.now() + wait * 1000;
        this.#machine.send("gpuAccepted", { code: "", detail: message, retryAt });
      }, signal);
      this.#lease(status);
      this.#connect(status.address, status.token ?? null);
    } catch (error) {
      if (!signal.aborted) this.#failWith(error);
    }
  }

  /**
   * A token of the service lives for minutes. A session that outlived its own and was lost for good, or a machine
   * that took long to boot, needs a new one; if that is refused too, no further one helps.
   *
   * @param {import("./lifecycle.js").Lifecycle} lifecycle
   * @param {string} detail
   */
  #renewToken(lifecycle, detail) {
    if (this.#renewed) this.#fail(FailureCode.TOKEN_REFUSED, detail);
    else if (this.#machine.send("renew")) {
      this.#renewed = true;
      this.#connectToMachine(lifecycle);
    }
  }

  /** @param {EngineMessage} message */
  #receive(message) {
    switch (message.type) {
      case "state":
        this.#follow(message);
        return;
      case "models":
        this.#degraded = message.state === "degraded";
        this.#showTrouble();
        return;
      case "paused":
        this.#pause = message.paused ? message.code : null;
        this.#showTrouble();
        return;
      case "failed":
        if (message.code === FailureCode.SERVER_UNREACHABLE) this.#restart(message.code, message.detail, AWAY_RETRY_MS);
        else this.#fail(message.code, message.detail);
        return;
      case "welcome":
        this.#resume = message.resume;
        this.dispatchEvent(new CustomEvent("engine", { detail: message }));
        return;
      default:
        this.dispatchEvent(new CustomEvent("engine", { detail: message }));
    }
  }

  /** @param {import("../shared/bridge.js").EngineState} message */
  #follow({ state, code, detail, retryInMs }) {
    if (state === "live") {
      this.#renewed = false;
      this.#machine.send("live");
      this.#showTrouble();
    } else if (state === "reconnecting") {
      const retryAt = performance.now() + (retryInMs ?? 0);
      this.#machine.send("lost", { code: code ?? FailureCode.CONNECTION_LOST, detail, retryAt });
      this.#refreshLease();
    } else if (code === FailureCode.UNAUTHORIZED && this.#lifecycle !== null) {
      this.#renewToken(this.#lifecycle, detail);
    } else if (state === "ended" && code !== null) {
      this.#fail(code, detail);
    } else if (state === "ended") {
      this.#stopped();
    }
  }

  /** The server may tell before the picture is live. */
  #showTrouble() {
    const { state, reason } = this.#machine;
    if (this.#pause !== null && reason?.code !== this.#pause) {
      this.#machine.send("paused", { code: this.#pause, detail: "", retryAt: null });
    } else if (this.#degraded && this.#pause === null && state !== PageState.DEGRADED) {
      this.#machine.send("degraded", { code: FailureCode.MODELS_AWAY, detail: "", retryAt: null });
    } else if (!this.#degraded && this.#pause === null && TROUBLED.has(state)) {
      this.#machine.send("live");
    }
  }

  #stopped() {
    clearTimeout(this.#stopTimer);
    if (this.#machine.send("stopped")) this.#engine.reload();
  }

  /** @param {string} code @param {string} detail */
  #fail(code, detail) {
    clearTimeout(this.#stopTimer);
    this.#dropRestart();
    const asksFirst = code === FailureCode.UNAUTHORIZED && this.#key() === "";
    const reason = asksFirst ? FailureCode.KEY_NEEDED : code;
    if (!this.#machine.send("fail", { code: reason, detail, retryAt: null })) return;
    this.#engine.reload();
    this.#refreshLease(); // a machine that does not work can be stopped, and started anew
  }

  /** @param {unknown} error */
  #failWith(error) {
    this.#fail(error instanceof Failure ? error.code : FailureCode.GPU_FAILED, words(error));
  }

  /** Asks how long the GPU machine runs on, and notices that it was stopped. */
  async #refreshLease() {
    const { state } = this.#machine;
    const settled = HAS_MACHINE.has(state) || state === PageState.IDLE || state === PageState.FAILED;
    if (this.#lifecycle === null || this.#key() === "" || !settled || this.#asking) return;
    this.#asking = true;
    try {
      const status = await this.#lifecycle.status();
      this.#lease(status);
      const off = status.state === "stopped" || status.state === "stopping";
      if (off && this.#machine.state === PageState.RECONNECTING) {
        this.#fail(FailureCode.GPU_STOPPED, status.message);
      }
    } catch {
      return; // asked again soon; the session itself does not hang on it
    } finally {
      this.#asking = false;
    }
  }

  /** @param {import("./lifecycle.js").MachineStatus | undefined} status */
  #lease(status) {
    const stopsIn = status?.stops_in_s ?? null;
    this.stopsAt = stopsIn === null ? null : Date.now() + stopsIn * 1000;
    this.cost = status?.cost ?? this.cost; // only the answers about the state tell it
    this.dispatchEvent(new Event("lease"));
  }
}

/** @param {unknown} error @returns {string} */
function words(error) {
  return error instanceof Error ? error.message : String(error);
}
