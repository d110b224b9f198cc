/**
 * One try at WebRTC: an `RTCPeerConnection` that sends one video track and opens the `results` data channel.
 *
 * @module
 */

import { RESULTS_LABEL } from "../shared/wire.js";

/**
 * The server sends an RTCP report at least each 1.5 s; silence of `SILENCE_MS` means that the path is dead. It is
 * noticed up to two intervals later, and by then JPEG frames must come before the server's own patience (3 s) ends.
 */
const STATISTICS_INTERVAL_MS = 200;
const SILENCE_MS = 2000;
/** Enough for a hidden tab to keep its session alive. */
const BACKGROUND_FRAMERATE = 2;

/**
 * @typedef {object} PeerHandlers
 * @property {(message: import("../shared/wire.js").ClientMessage) => void} send
 * @property {(text: string) => void} onResult
 * @property {(resultsOpen: boolean) => void} onConnected Again when the data channel has opened.
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
  #receivedAt = 0;
  /** @type {import("../shared/wire.js").Rate | null} */
  #rate = null;
  #background = false;
  /** @type {(RTCIceCandidateInit | null)[] | null} Candidates found before the answer; the server takes none earlier. */
  #early = [];

  /** Bytes sent so far: media, data and RTCP. */
  sentBytes = 0;

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
        this.#receivedAt = performance.now();
        this.#timer = setInterval(() => this.#watch(), STATISTICS_INTERVAL_MS);
        this.#handlers.onConnected(this.#results?.readyState === "open");
        return;
      case "failed":
        this.#die("ICE or DTLS failed");
    }
  }

  /** Browsers take 15 s and more to call a path failed; an eye on the received bytes sees it in two. */
  async #watch() {
    const statistics = await this.#connection.getStats();
    const now = performance.now();
    for (const entry of statistics.values()) {
      if (entry.type !== "transport") continue;
      this.sentBytes = entry.bytesSent;
      if (entry.bytesReceived > this.#receivedBytes) this.#receivedAt = now;
      this.#receivedBytes = entry.bytesReceived;
    }
    if (now - this.#receivedAt > SILENCE_MS) this.#die("nothing received for 2 s");
  }

  /** @param {string} why For the console of a developer. */
  #die(why) {
    if (this.#closed) return;
    console.debug("WebRTC:", why);
    this.close();
    this.#handlers.onDead();
  }

  #applyRate() {
    const parameters = this.#sender.getParameters();
    const encoding = parameters.encodings?.[0];
    if (this.#closed || encoding === undefined) return;
    if (this.#rate !== null) {
      encoding.maxBitrate = this.#rate.max_bitrate;
      encoding.scaleResolutionDownBy = Math.max(1, this.#rate.scale_resolution_down_by);
    }
    const framerate = Math.min(
      this.#rate?.max_framerate ?? Infinity,
      this.#background ? BACKGROUND_FRAMERATE : Infinity,
    );
    if (Number.isFinite(framerate)) encoding.maxFramerate = framerate;
    else delete encoding.maxFramerate;
    // Rejected only when the connection closes under it, or by a newer call, which then stands.
    this.#sender.setParameters(parameters).catch(() => {});
  }
}
