/**
 * Everything the page says.
 *
 * @module
 */

import { FailureCode } from "../shared/failure.js";
import { Transport } from "../shared/transport.js";

/** @type {Record<import("./state.js").PageStateValue, string>} */
export const STATE_WORDS = {
  idle: "Ready",
  starting_gpu: "Starting the GPU",
  waiting: "Waiting for the GPU",
  connecting: "Connecting",
  live: "Live",
  degraded: "Models away",
  reconnecting: "Reconnecting",
  stopping: "Stopping",
  failed: "Stopped",
};

/** @type {Record<import("../shared/transport.js").TransportValue, {label: string, title: string}>} */
export const TRANSPORT_WORDS = {
  [Transport.NONE]: { label: "–", title: "Not connected" },
  [Transport.DATACHANNEL]: { label: "WebRTC", title: "Video over WebRTC, results over a data channel" },
  [Transport.WEBSOCKET]: { label: "WebRTC + WS", title: "Video over WebRTC, results over the WebSocket" },
  [Transport.JPEG]: { label: "JPEG", title: "UDP is blocked: single pictures over the WebSocket" },
};

/**
 * What happened, what to do about it, and the button that does it (null where the page waits by itself).
 *
 * @typedef {{title: string, advice: string, button: string | null}} FailureWords
 */

/** @type {Record<import("../shared/failure.js").FailureCodeValue, FailureWords>} */
export const FAILURE_WORDS = {
  [FailureCode.INSECURE_ORIGIN]: {
    title: "This address is not secure",
    advice:
      "Browsers open the camera only on https:// or localhost. Open this page with https://, or choose a video file.",
    button: "Try again",
  },
  [FailureCode.NO_CAMERA]: {
    title: "No camera found",
    advice: "Connect a camera, or choose a video file or the screen as the source.",
    button: "Try again",
  },
  [FailureCode.CAMERA_DENIED]: {
    title: "The camera is not allowed",
    advice: "Allow the camera for this page with the icon beside the address, then try again.",
    button: "Try again",
  },
  [FailureCode.CAMERA_BUSY]: {
    title: "The camera is in use",
    advice: "Another program or tab holds the camera. Close it there, then try again.",
    button: "Try again",
  },
  [FailureCode.SCREEN_DENIED]: {
    title: "The screen is not shared",
    advice: "Choose a window or screen in the browser's dialog, or another source.",
    button: "Choose again",
  },
  [FailureCode.FILE_UNPLAYABLE]: {
    title: "This file cannot be played",
    advice: "The browser does not read this format. MP4 with H.264 and WebM work everywhere.",
    button: "Try again",
  },
  [FailureCode.SOURCE_ENDED]: {
    title: "The picture has ended",
    advice: "The camera was unplugged, or sharing was stopped.",
    button: "Start again",
  },
  [FailureCode.SERVER_UNREACHABLE]: {
    title: "The server cannot be reached",
    advice: "It is off, or the network does not let us through. It is tried again by itself.",
    button: null,
  },
  [FailureCode.SERVER_SILENT]: {
    title: "The server has gone silent",
    advice: "The network may have changed. It is tried again by itself.",
    button: null,
  },
  [FailureCode.ORIGIN_REFUSED]: {
    title: "The server does not let this page in",
    advice: "It is there, but takes no pages of this address. Its operator can allow it (allowed_origins).",
    button: "Try again",
  },
  [FailureCode.SERVER_BUSY]: {
    title: "The server is full",
    advice: "All its places are taken. You get in as soon as one is free; leave this page open.",
    button: null,
  },
  [FailureCode.TOO_MANY_SESSIONS]: {
    title: "Too many sessions are yours",
    advice: "All that your access allows are open. Close one, in another tab or on another machine; this one goes on then.",
    button: null,
  },
  [FailureCode.MODELS_LOADING]: {
    title: "The models are loading",
    advice: "The server has just started. This takes a few seconds.",
    button: null,
  },
  [FailureCode.MODELS_AWAY]: {
    title: "The models are away",
    advice: "Boxes come back by themselves as soon as the server reaches its models again.",
    button: null,
  },
  [FailureCode.SERVER_RESTARTING]: {
    title: "The server is restarting",
    advice: "The session goes on when it is back. Nothing to do here.",
    button: null,
  },
  [FailureCode.SERVER_ERROR]: {
    title: "The server has a fault",
    advice: "It is tried again by itself. If it stays so, copy the diagnostics for the operator.",
    button: null,
  },
  [FailureCode.CONNECTION_LOST]: {
    title: "The connection was lost",
    advice: "It is taken up again by itself.",
    button: null,
  },
  [FailureCode.UNAUTHORIZED]: {
    title: "The server asks for a valid access key",
    advice: "Enter the one you were given, or ask for a new one.",
    button: "Try again",
  },
  [FailureCode.TOKEN_REFUSED]: {
    title: "The server refuses the token of its service",
    advice:
      "Your key is good, but server and service do not have the same keys. Tell the operator, who can set that right.",
    button: "Try again",
  },
  [FailureCode.REPLACED]: {
    title: "The session went on elsewhere",
    advice: "Another tab has taken this session over.",
    button: "Start here",
  },
  [FailureCode.PROTOCOL_ERROR]: {
    title: "Page and server do not understand each other",
    advice: "They may be of different versions. Reload the page; if it stays so, copy the diagnostics.",
    button: "Try again",
  },
  [FailureCode.GPU_STOPPED]: {
    title: "The GPU machine was stopped by its schedule",
    advice: "It stops by itself when the time is up. Start it again to go on.",
    button: "Start again",
  },
  [FailureCode.GPU_FAILED]: {
    title: "The GPU machine did not come up",
    advice: "Try again in a moment.",
    button: "Try again",
  },
  [FailureCode.GPU_RUNS_ON]: {
    title: "The GPU machine runs on",
    advice: "It could not be stopped now. It stops by itself when its time is up.",
    button: "Start again",
  },
  [FailureCode.LIFECYCLE_UNREACHABLE]: {
    title: "The service that starts the GPU cannot be reached",
    advice: "Check the network, then try again.",
    button: "Try again",
  },
  [FailureCode.ENGINE_LOST]: {
    title: "The video engine stopped answering",
    advice: "The page is fine; a fresh engine is ready.",
    button: "Restart",
  },
};

/**
 * @param {string} code
 * @returns {FailureWords}
 */
export function failureWords(code) {
  const known = /** @type {Record<string, FailureWords>} */ (FAILURE_WORDS);
  return known[code] ?? { title: "Something went wrong", advice: code, button: "Try again" };
}

/** @param {number} ms @returns {string} Minutes and seconds, as 12:34. */
export function clockWords(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
