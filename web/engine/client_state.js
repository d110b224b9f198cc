/**
 * What a client is doing: one enum, one table.
 *
 * @module
 */

export const ClientState = Object.freeze({
  IDLE: "idle",
  CONNECTING: "connecting",
  LIVE: "live",
  RECONNECTING: "reconnecting",
  ENDED: "ended",
});

/** @typedef {typeof ClientState[keyof typeof ClientState]} ClientStateValue */

/**
 * idle ── start ──▶ connecting ── media or JPEG flows ──▶ live
 *                      │  ▲                                │
 *         not retryable│  └── welcome ── reconnecting ◀────┤ lost, or refused with a retry time
 *                      ▼                    │              │
 *                    ended ◀────────────────┴──────────────┘ close(), or an end that no retry can help
 *
 * @type {Record<ClientStateValue, readonly ClientStateValue[]>}
 */
export const TRANSITIONS = {
  idle: ["connecting", "ended"],
  connecting: ["live", "reconnecting", "ended"],
  live: ["reconnecting", "ended"],
  reconnecting: ["connecting", "ended"],
  ended: [],
};
