/**
 * Which way frames go out and results come back.
 *
 * @module
 */

export const Transport = Object.freeze({
  NONE: "none",
  DATACHANNEL: "webrtc+datachannel",
  WEBSOCKET: "webrtc+websocket",
  JPEG: "jpeg+websocket",
});

/** @typedef {typeof Transport[keyof typeof Transport]} TransportValue */
