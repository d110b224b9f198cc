/**
 * How frames get to the server: WebRTC where it comes up, JPEG over the WebSocket where it does not, and back.
 *
 * @module
 */

import { Transport } from "../shared/transport.js";
import { JpegSender } from "./jpeg.js";
import { Peer } from "./peer.js";

/** Without a connection after this long, JPEG frames bridge the time. */
const PATIENCE_MS = 3500;
/** ICE that has not succeeded after this long will not. */
const ATTEMPT_MS = 10_000;
/** Pause before the next try, by the number of tries that failed since WebRTC last worked. */
const RETRY_MS = [0, 2000, 5000, 10_000, 20_000];

/**
 * @typedef {object} MediaHandlers
 * @property {(message: import("../shared/wire.js").ClientMessage) => void} send
 * @property {(text: string) => void} onResult Called with the JSON text of a result.
 * @property {(transport: import("../shared/transport.js").TransportValue) => void} onTransport
 */

/** Media of one WebSocket connection. */
export class MediaPath {
  #track;
  #socket;
  #iceServers;
  #wantResults;
  #handlers;
  /** @type {Peer | null} */
  #peer = null;
  /** @type {JpegSender | null} */
  #jpeg = null;
  #attempts = 0;
  #patienceTimer = 0;
  #attemptTimer = 0;
  /** @type {import("../shared/wire.js").Rate | null} */
  #rate = null;
  #background = false;
  #closed = false;
  #closedBytes = 0;

  /**
   * @param {MediaStreamTrack} track
   * @param {WebSocket} socket
   * @param {RTCIceServer[]} iceServers
   * @param {boolean} wantResults Results over a data channel.
   * @param {MediaHandlers} handlers
   */
  constructor(track, socket, iceServers, wantResults, handlers) {
    this.#track = track;
    this.#socket = socket;
    this.#iceServers = iceServers;
    this.#wantResults = wantResults;
    this.#handlers = handlers;
  }

  /** Bytes sent so far, over all ways. */
  get sentBytes() {
    return this.#closedBytes + (this.#peer?.sentBytes ?? 0) + (this.#jpeg?.sentBytes ?? 0);
  }

  start() {
    this.#patienceTimer = setTimeout(() => this.#bridge(), PATIENCE_MS);
    this.#attempt();
  }

  /**
   * @param {import("../shared/wire.js").Answer | import("../shared/wire.js").Candidate
   *   | import("../shared/wire.js").Rate} message
   */
  receive(message) {
    switch (message.type) {
      case "answer":
        this.#peer?.accept(message.sdp);
        return;
      case "candidate":
        this.#peer?.addCandidate(message.candidate);
        return;
      case "rate":
        this.#rate = message;
        this.#limit();
    }
  }

  /** The path is dead, or the offer was refused: JPEG at once, and WebRTC again when it is time. */
  lost() {
    if (this.#closed) return;
    this.#dropPeer();
    this.#bridge();
    // A new offer also tells the server that the old data channel is no place for results any more.
    const pause = RETRY_MS[Math.min(this.#attempts, RETRY_MS.length - 1)];
    this.#attemptTimer = setTimeout(() => this.#attempt(), pause);
  }

  /** @param {boolean} background The tab is hidden: send just enough to stay alive. */
  setBackground(background) {
    this.#background = background;
    this.#limit();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#patienceTimer);
    this.#dropPeer();
    this.#dropJpeg();
  }

  #attempt() {
    if (this.#closed || typeof RTCPeerConnection === "undefined") return;
    this.#attempts += 1;
    const peer = new Peer(this.#track, this.#iceServers, this.#wantResults, {
      send: this.#handlers.send,
      onResult: this.#handlers.onResult,
      onConnected: (resultsOpen) => this.#connected(resultsOpen),
      onDead: () => this.lost(),
    });
    this.#peer = peer;
    peer.limit(this.#rate, this.#background);
    peer.offer();
    this.#attemptTimer = setTimeout(() => this.lost(), ATTEMPT_MS);
  }

  /** @param {boolean} resultsOpen Until the data channel opens, results come over the WebSocket. */
  #connected(resultsOpen) {
    clearTimeout(this.#patienceTimer);
    clearTimeout(this.#attemptTimer);
    this.#attempts = 0;
    this.#dropJpeg();
    this.#handlers.onTransport(resultsOpen ? Transport.DATACHANNEL : Transport.WEBSOCKET);
  }

  #bridge() {
    clearTimeout(this.#patienceTimer);
    if (this.#closed || this.#jpeg !== null) return;
    this.#jpeg = new JpegSender(this.#track, this.#socket);
    this.#limit();
    this.#handlers.onTransport(Transport.JPEG);
  }

  #limit() {
    this.#peer?.limit(this.#rate, this.#background);
    const framerate = Math.min(this.#rate?.max_framerate ?? Infinity, this.#background ? 1 : Infinity);
    this.#jpeg?.setFramerate(framerate);
  }

  #dropPeer() {
    clearTimeout(this.#attemptTimer);
    this.#closedBytes += this.#peer?.sentBytes ?? 0;
    this.#peer?.close();
    this.#peer = null;
  }

  #dropJpeg() {
    this.#closedBytes += this.#jpeg?.sentBytes ?? 0;
    this.#jpeg?.close();
    this.#jpeg = null;
  }
}
