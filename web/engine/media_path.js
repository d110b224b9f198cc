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
/** How long a path that fell silent is waited for, and how long where the whole network was away and is back. */
const HOPE_MS = 5000;
const HOPE_AFTER_RETURN_MS = 700;
/** Pause before the next try, by the number of tries that failed since WebRTC last worked. */
const RETRY_MS = [0, 2000, 5000, 10_000, 20_000];

/**
 * @typedef {object} MediaHandlers
 * @property {(text: string) => void} onResult Called with the JSON text of a result.
 * @property {(transport: import("../shared/transport.js").TransportValue) => void} onTransport
 */

/**
 * What of the video gets through.
 *
 * @typedef {object} Sending
 * @property {boolean} isNarrow The network carries less than is wanted.
 * @property {boolean} isBlocked WebRTC gets no way, while the socket works: single pictures go over that.
 * @property {number | null} framerate Pictures sent a second; null where nobody knows.
 */

/** Media of one session. It outlives the connection that it was negotiated over: see `detach`. */
export class MediaPath {
  #track;
  /** @type {import("./connection.js").Connection | null} null while there is none. */
  #connection;
  #iceServers;
  #wantResults;
  #handlers;
  /** @type {Peer | null} */
  #peer = null;
  /** @type {JpegSender | null} */
  #jpeg = null;
  #attempts = 0;
  #silent = false;
  /** WebRTC was tried, and its packets get no way, while the socket works. */
  #isBlocked = false;
  #hopeTimer = 0;
  /** @type {import("../shared/transport.js").TransportValue} Of the peer connection. */
  #way = Transport.NONE;
  #patienceTimer = 0;
  #attemptTimer = 0;
  /** @type {import("../shared/wire.js").Rate | null} */
  #rate = null;
  #background = false;
  #muted = false;
  #jpegOnly = false;
  #closed = false;
  #closedBytes = 0;

  /**
   * @param {MediaStreamTrack} track
   * @param {import("./connection.js").Connection} connection
   * @param {RTCIceServer[]} iceServers
   * @param {boolean} wantResults Results over a data channel.
   * @param {MediaHandlers} handlers
   */
  constructor(track, connection, iceServers, wantResults, handlers) {
    this.#track = track;
    this.#connection = connection;
    this.#iceServers = iceServers;
    this.#wantResults = wantResults;
    this.#handlers = handlers;
  }

  /** Bytes sent so far, over all ways. */
  get sentBytes() {
    return this.#closedBytes + (this.#peer?.sentBytes ?? 0) + (this.#jpeg?.sentBytes ?? 0);
  }

  /** @param {boolean} jpegOnly Without a try at WebRTC. */
  start(jpegOnly) {
    this.#jpegOnly = jpegOnly;
    // Without the constructor it is switched off, or this is a web view.
    if (jpegOnly || typeof RTCPeerConnection === "undefined") return this.#bridge();
    this.#patienceTimer = setTimeout(() => this.#bridgeUntried(), PATIENCE_MS);
    this.#attempt();
  }

  /**
   * @param {import("../shared/wire.js").Answer | import("../shared/wire.js").Candidate
   *   | import("../shared/wire.js").Rate | import("../shared/wire.js").Pong
   *   | import("../shared/wire.js").Result} message
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
        return;
      case "pong":
        this.#jpeg?.received(message.id);
        return;
      case "result":
        this.#jpeg?.answered(message);
    }
  }

  /** Whether there is a peer connection that works, as far as is known. */
  get isAlive() {
    return !this.#closed && this.#peer !== null && this.#peer.isAlive;
  }

  /** @returns {Sending} */
  get sending() {
    const way = this.#jpeg ?? this.#peer;
    const isBlocked = this.#jpeg !== null && this.#isBlocked;
    return { isNarrow: way?.isNarrow ?? false, isBlocked, framerate: way?.framerate ?? null };
  }

  /** The connection is lost; the peer connection stays. */
  detach() {
    this.#connection = null;
    clearTimeout(this.#hopeTimer);
    clearTimeout(this.#attemptTimer);
    clearTimeout(this.#patienceTimer);
    this.#dropJpeg();
  }

  /** @param {import("./connection.js").Connection} connection Which goes on with the peer connection of before. */
  attach(connection) {
    this.#connection = connection;
    if (this.#silent) {
      this.#bridge();
      this.#hopeTimer = setTimeout(() => this.lost(), HOPE_AFTER_RETURN_MS);
    } else {
      this.#handlers.onTransport(this.#way);
    }
  }

  /** The path is dead, or the offer was refused: JPEG at once, and WebRTC again when it is time. */
  lost() {
    if (this.#closed || this.#connection === null) return;
    clearTimeout(this.#hopeTimer);
    this.#silent = false;
    this.#lookForPath();
    this.#dropPeer();
    this.#bridge();
    // A new offer also tells the server that the old data channel is no place for results any more.
    const pause = RETRY_MS[Math.min(this.#attempts, RETRY_MS.length - 1)];
    this.#attemptTimer = setTimeout(() => this.#attempt(), pause);
  }

  /** @param {MediaStreamTrack} track In place of the last. */
  replaceTrack(track) {
    this.#track = track;
    this.#peer?.replaceTrack(track);
    if (this.#jpeg === null) return;
    this.#dropJpeg();
    this.#bridge();
  }

  /** @param {boolean} muted Send no pictures. */
  setMuted(muted) {
    this.#muted = muted;
    this.#peer?.setMuted(muted);
    if (this.#jpeg !== null) this.#jpeg.isMuted = muted;
  }

  /** @param {boolean} jpegOnly Whether WebRTC is left alone. */
  setJpegOnly(jpegOnly) {
    if (jpegOnly === this.#jpegOnly || typeof RTCPeerConnection === "undefined") return;
    this.#jpegOnly = jpegOnly;
    if (this.#closed) return;
    if (jpegOnly) {
      clearTimeout(this.#hopeTimer);
      this.#silent = this.#isBlocked = false;
      this.#dropPeer();
      this.#bridge();
    } else if (this.#connection !== null) {
      this.#attempt();
    }
  }

  /** @param {boolean} background The tab is hidden: send just enough to stay alive. */
  setBackground(background) {
    this.#background = background;
    this.#limit();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#patienceTimer);
    clearTimeout(this.#hopeTimer);
    this.#dropPeer();
    this.#dropJpeg();
  }

  #attempt() {
    if (this.#closed || this.#jpegOnly) return;
    this.#attempts += 1;
    const peer = new Peer(this.#track, this.#iceServers, this.#wantResults, {
      send: (message) => this.#connection?.send(message),
      onResult: this.#handlers.onResult,
      onConnected: (resultsOpen) => this.#connected(resultsOpen),
      onSilent: () => this.#fellSilent(),
      onHeard: () => this.#heard(),
      onDead: () => this.#died(),
    });
    this.#peer = peer;
    peer.limit(this.#rate, this.#background);
    peer.setMuted(this.#muted);
    peer.offer();
    this.#attemptTimer = setTimeout(() => this.lost(), ATTEMPT_MS);
  }

  /** @param {boolean} resultsOpen Until the data channel opens, results come over the WebSocket. */
  #connected(resultsOpen) {
    clearTimeout(this.#patienceTimer);
    clearTimeout(this.#attemptTimer);
    this.#attempts = 0;
    this.#isBlocked = false;
    this.#dropJpeg();
    this.#way = resultsOpen ? Transport.DATACHANNEL : Transport.WEBSOCKET;
    this.#handlers.onTransport(this.#way);
  }

  /** A path that is away for seconds comes back as it was: the same peer connection works again then. */
  #fellSilent() {
    this.#silent = true;
    if (this.#connection === null) return;
    this.#bridge();
    this.#hopeTimer = setTimeout(() => this.lost(), HOPE_MS);
  }

  #heard() {
    this.#silent = false;
    clearTimeout(this.#hopeTimer);
    this.#dropJpeg();
    if (this.#connection !== null) this.#handlers.onTransport(this.#way);
  }

  #died() {
    this.#silent = false;
    if (this.#connection === null) this.#dropPeer();
    else this.lost();
  }

  #bridgeUntried() {
    this.#lookForPath();
    this.#bridge();
  }

  /** A path that worked, and fell silent, may come back: it is not called blocked before another try fails. */
  #lookForPath() {
    if (this.#peer?.foundNoPath && this.#connection?.isHeard) this.#isBlocked = true;
  }

  #bridge() {
    clearTimeout(this.#patienceTimer);
    if (this.#closed || this.#jpeg !== null || this.#connection === null) return;
    this.#jpeg = new JpegSender(this.#track, this.#connection);
    this.#jpeg.isMuted = this.#muted;
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
