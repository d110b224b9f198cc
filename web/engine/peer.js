/**
 * One try at WebRTC: an `RTCPeerConnection` that sends one video track and opens the `results` data channel.
 *
 * @module
 */

import { RESULTS_LABEL } from "../shared/wire.js";
import { receivedBytes, sentBytes, sentPackets, videoSent } from "./traffic.js";

/**
 * To whom sends media the server sends an RTCP report at least each 1.5 s: without any for `SILENCE_MS` the path is
 * silent. It is noticed up to two intervals later, and by then JPEG frames must come before the server's own patience (3 s)
 * ends.
 */
const STATISTICS_INTERVAL_MS = 200;
const SILENCE_MS = 2000;
/** So long after the answer a path is found, if there is one. */
const CHECKED_MS = 2000;
/** Enough for a hidden tab to keep its session alive. */
const BACKGROUND_FRAMERATE = 2;
/** More than a camera gives. WebKit takes an absent `maxFramerate` for the one of before. */
const FULL_FRAMERATE = 120;

/**
 * @typedef {object} PeerHandlers
 * @property {(message: import("../shared/wire.js").ClientMessage) => void} send
 * @property {(text: string) => void} onResult
 * @property {(resultsOpen: boolean) => void} onConnected Again when the data channel has opened.
 * @property {() => void} onSilent Nothing comes back for what is sent; the path may come back.
 * @property {() => void} onHeard After `onSilent`: something came.
 * @property {() => void} onDead At most once, and never after `close()`.
 */

export class Peer {
  /** @type {RTCPeerConnection} */
  #connection;
  #handlers;
  #track;
  #sender;
  /** @type {RTCDataChannel | null} */
  #results = null;
  #timer = 0;
  #closed = false;
  #receivedBytes = 0;
  #sentPackets = 0;
  /** @type {number | null} Since when media was sent and nothing came back, `performance.now()`. */
  #unansweredSince = null;
  /** @type {import("../shared/wire.js").Rate | null} */
  #rate = null;
  #background = false;
  /** @type {(RTCIceCandidateInit | null)[] | null} Candidates found before the answer; the server takes none earlier. */
  #early = [];

  /** Bytes sent so far: media, data and RTCP. */
  sentBytes = 0;

  /** Pictures sent a second; null where the browser does not tell. @type {number | null} */
  framerate = null;

  /** Whether the browser sends less than it would, as the network does not carry more. */
  isNarrow = false;

  #silent = false;
  /** @type {number | null} */
  #answeredAt = null;
  #foundPath = false;
  #muted = false;

  /**
   * @param {MediaStreamTrack} track
   * @param {RTCIceServer[]} iceServers
   * @param {boolean} wantResults Open the data channel.
   * @param {PeerHandlers} handlers
   */
  constructor(track, iceServers, wantResults, handlers) {
    this.#handlers = handlers;
    this.#track = track;
    const connection = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.#connection = connection;
    this.#sender = connection.addTransceiver(track, { direction: "sendonly" }).sender;
    if (wantResults) this.#openResults();
    connection.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    connection.onconnectionstatechange = () => this.#follow();
    connection.oniceconnectionstatechange = () => {
      this.#foundPath ||= ["connected", "completed"].includes(connection.iceConnectionState);
    };
  }

  /** Whether media can flow, as far as is known. */
  get isAlive() {
    return !this.#closed && this.#timer !== 0;
  }

  /** Whether the server has answered the offer, and none of its addresses the connectivity checks. */
  get foundNoPath() {
    if (this.#foundPath || this.#answeredAt === null) return false;
    return performance.now() - this.#answeredAt > CHECKED_MS;
  }

  /** Makes the offer; the answer comes to `accept`. */
  async offer() {
    try {
      await this.#connection.setLocalDescription();
    } catch (error) {
      this.#die(`no offer can be made: ${error}`);
      return;
    }
    const description = this.#connection.localDescription;
    if (description === null || this.#closed) return;
    const camera = this.#track.getSettings().frameRate; // a canvas or a screen may have none
    this.#handlers.send({ type: "offer", sdp: description.sdp, camera_framerate: camera || null });
  }

  /** @param {string} sdp */
  async accept(sdp) {
    if (this.#closed || this.#connection.signalingState !== "have-local-offer") return;
    try {
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      this.#die(`the answer cannot be used: ${error}`);
      return;
    }
    this.#answeredAt = performance.now();
    for (const candidate of this.#early ?? []) this.#sendCandidate(candidate);
    this.#early = null;
    this.#applyRate();
  }

  /** @param {RTCIceCandidateInit | null} candidate The server's; its answer carries them all already. */
  addCandidate(candidate) {
    this.#connection.addIceCandidate(candidate ?? undefined).catch(() => {}); // one bad candidate ends nothing
  }

  /** @param {import("../shared/wire.js").Rate | null} rate @param {boolean} background The tab is hidden. */
  limit(rate, background) {
    this.#rate = rate;
    this.#background = background;
    this.#applyRate();
  }

  /** @param {MediaStreamTrack} track In place of the last. */
  replaceTrack(track) {
    this.#track = track;
    this.#applyTrack();
  }

  /** @param {boolean} muted Send no pictures. */
  setMuted(muted) {
    if (muted === this.#muted) return;
    this.#muted = muted;
    this.#applyTrack();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#connection.close();
  }

  #openResults() {
    const channel = this.#connection.createDataChannel(RESULTS_LABEL, { ordered: false, maxRetransmits: 0 });
    this.#results = channel;
    channel.onopen = () => this.#handlers.onConnected(true); // may come before "connected"
    channel.onmessage = ({ data }) => {
      this.#hear();
      if (!this.#closed) this.#handlers.onResult(data);
    };
  }

  /** @param {RTCIceCandidate | null} candidate null ends the candidates. */
  #trickle(candidate) {
    const init = candidate === null ? null : candidate.toJSON();
    if (this.#early === null) this.#sendCandidate(init);
    else this.#early.push(init);
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  #sendCandidate(candidate) {
    this.#handlers.send({ type: "candidate", candidate });
  }

  #follow() {
    switch (this.#connection.connectionState) {
      case "connected":
        if (this.#timer !== 0) return; // back from "disconnected"
        this.#timer = setInterval(() => this.#watch(), STATISTICS_INTERVAL_MS);
        this.#handlers.onConnected(this.#results?.readyState === "open");
        return;
      case "failed":
        this.#die("ICE or DTLS failed");
    }
  }

  /**
   * Browsers take 15 s and more to call a path failed; an eye on the received bytes sees its silence in two. A browser that
   * does not count them is left to notice it by itself, and a track that gives no pictures to the server.
   */
  async #watch() {
    const askedAt = performance.now(); // the answer may come late to a busy page, and is not older than this
    const statistics = await this.#connection.getStats().catch(() => null);
    if (statistics === null) return;
    this.sentBytes = sentBytes(statistics) ?? this.sentBytes;
    const received = receivedBytes(statistics);
    const sent = sentPackets(statistics);
    ({ framerate: this.framerate, isNarrow: this.isNarrow } = videoSent(statistics, this.#rate?.max_bitrate));
    if (received === null || received !== this.#receivedBytes) this.#hear();
    else if (sent !== this.#sentPackets || sent === null) this.#unansweredSince ??= askedAt;
    this.#receivedBytes = received ?? 0;
    this.#sentPackets = sent ?? 0;
    if (this.#unansweredSince !== null && askedAt - this.#unansweredSince > SILENCE_MS && !this.#silent) {
      this.#silent = true;
      if (!this.#closed) this.#handlers.onSilent();
    }
  }

  #hear() {
    this.#unansweredSince = null;
    if (!this.#silent || this.#closed) return;
    this.#silent = false;
    this.#handlers.onHeard();
  }

  /** @param {string} why For the console of a developer. */
  #die(why) {
    if (this.#closed) return;
    console.debug("WebRTC:", why);
    this.close();
    this.#handlers.onDead();
  }

  #applyTrack() {
    if (this.#closed) return;
    this.#sender.replaceTrack(this.#muted ? null : this.#track).catch((error) => this.#die(`no other track: ${error}`));
  }

  #applyRate() {
    const parameters = this.#sender.getParameters();
    const encoding = parameters.encodings?.[0];
    if (this.#closed || encoding === undefined) return;
    if (this.#rate !== null) {
      encoding.maxBitrate = this.#rate.max_bitrate;
      encoding.scaleResolutionDownBy = Math.max(1, this.#rate.scale_resolution_down_by);
    }
    encoding.maxFramerate = Math.min(
      this.#rate?.max_framerate ?? FULL_FRAMERATE,
      this.#background ? BACKGROUND_FRAMERATE : FULL_FRAMERATE,
    );
    // Rejected only when the connection closes under it, or by a newer call, which then stands.
    this.#sender.setParameters(parameters).catch(() => {});
  }
}
