/**
 * What an `RTCStatsReport` says about the traffic of its connection, whichever browser wrote it. Each is null where
 * the browser does not count it: that says nothing about the path.
 *
 * @module
 */

/** Statistics that count what the path carries, best first. Firefox has no `transport`. */
const CARRIERS = ["transport", "candidate-pair"];

/** @typedef {{values(): Iterable<any>}} Statistics An `RTCStatsReport`. */

/** @param {Statistics} statistics */
export function sentBytes(statistics) {
  return carried(statistics, "bytesSent");
}

/** @param {Statistics} statistics */
export function receivedBytes(statistics) {
  return carried(statistics, "bytesReceived");
}

/** @param {Statistics} statistics @returns {number | null} Of media, with RTP. */
export function sentPackets(statistics) {
  return total(statistics, "outbound-rtp", "packetsSent");
}

/** @param {Statistics} statistics @param {string} count @returns {number | null} */
function carried(statistics, count) {
  // A connection that is up has carried its DTLS handshake: 0 is no count.
  return CARRIERS.map((type) => total(statistics, type, count)).find((bytes) => bytes) ?? null;
}

/** @param {Statistics} statistics @param {string} type @param {string} count @returns {number | null} */
function total(statistics, type, count) {
  const counts = [...statistics.values()].filter((entry) => entry.type === type).map((entry) => entry[count]);
  const known = counts.filter(Number.isFinite);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

/** Below this, in bit/s, video has fewer or smaller pictures than are wanted. */
const NARROW = 250_000;
/** Of what the server asks for: as much is sent where nothing else limits it. */
const WANTED_SHARE = 0.9;

/**
 * How the video is sent: pictures a second (null where the browser does not tell), and whether it is held back by a
 * narrow network.
 *
 * @param {Pick<RTCStatsReport, "forEach">} statistics
 * @param {number} [maxBitrate] What the server asks for at most, in bit/s: less than that is narrow, that is not.
 * @returns {{framerate: number | null, isNarrow: boolean}}
 */
export function videoSent(statistics, maxBitrate = Infinity) {
  const narrow = Math.min(NARROW, WANTED_SHARE * maxBitrate);
  /** @type {{framerate: number | null, isNarrow: boolean}} */
  const sent = { framerate: null, isNarrow: false };
  statistics.forEach((entry) => {
    if (entry.type !== "outbound-rtp" || entry.kind !== "video") return;
    sent.framerate = entry.framesPerSecond ?? null;
    sent.isNarrow = entry.qualityLimitationReason === "bandwidth" && (entry.targetBitrate ?? Infinity) < narrow;
  });
  return sent;
}
