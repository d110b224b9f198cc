/**
 * What can go wrong, in English: what happened, what to do about it, and the button that does it.
 *
 * @module
 */

import { FailureCode } from "../../shared/failure.js";

/** @type {Record<import("../../shared/failure.js").FailureCodeValue, import("./en.js").FailureWords>} */
export const enFailures = {
  [FailureCode.INSECURE_ORIGIN]: {
    title: "This address is not secure",
    advice: "Browsers open the camera only on https:// or localhost. Open this page with https://, or go on with a clip.",
    button: "Try again",
  },
  [FailureCode.NO_CAMERA]: {
    title: "No camera found",
    advice: "Connect a camera and try again, or go on with a clip.",
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
  [FailureCode.SCREEN_NEEDS_TAP]: {
    title: "Ready to share the screen",
    advice: "The browser shows its dialog only right after a click.",
    button: "Share the screen",
  },
  [FailureCode.FILE_UNPLAYABLE]: {
    title: "This file cannot be played",
    advice: "The browser does not read this format. MP4 with H.264 and WebM work everywhere.",
    button: "Try again",
  },
  [FailureCode.SOURCE_UNSUPPORTED]: {
    title: "This browser cannot send that",
    advice: "Choose another source, or open this page in Chrome, Edge, Firefox or Safari itself, up to date.",
    button: "Try again",
  },
  [FailureCode.PLAYBACK_BLOCKED]: {
    title: "The browser does not play the video",
    advice: "Allow autoplay for this page, or on a phone turn off its low-power mode. Then try again.",
    button: "Try again",
  },
  [FailureCode.CANVAS_HIDDEN]: {
    title: "The browser hides pictures from pages",
    advice: "Its protection against fingerprinting makes them blank. Allow canvas data for this page, or use the camera.",
    button: "Try again",
  },
  [FailureCode.SOURCE_ENDED]: {
    title: "The picture has ended",
    advice: "The camera was unplugged, or sharing was stopped.",
    button: "Start again",
  },
  [FailureCode.SOURCE_PAUSED]: {
    title: "No new pictures come from the source",
    advice: "It is switched off, or nothing moves. The session stays, and goes on by itself with the next picture.",
    button: null,
  },
  [FailureCode.SOURCE_MUTED]: {
    title: "The camera is paused by the phone",
    advice: "A call, another app or the lock has it. The session stays, and goes on by itself when the camera is back.",
    button: null,
  },
  [FailureCode.PAUSED_TOO_LONG]: {
    title: "The session paused for too long",
    advice: "No pictures came for minutes, so the server gave its place to others.",
    button: "Start again",
  },
  [FailureCode.STREAM_UNPUBLISHED]: {
    title: "Nobody publishes this stream now",
    advice: "What is found in it is shown here as soon as somebody does.",
    button: null,
  },
  [FailureCode.BAD_STREAM_NAME]: {
    title: "This is not the name of a stream",
    advice:
      "Names have 1 to 64 letters, digits and any of - . _ ~, and no spaces. " +
      "Set it right after ?watch= in the address of this page.",
    button: "Try again",
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
  [FailureCode.FLEET_GROWING]: {
    title: "Another server is being started",
    advice: "All places are taken. More come in some minutes, and you get in by yourself; leave this page open.",
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
  [FailureCode.KEY_NEEDED]: {
    title: "Enter your access key",
    advice: "This server is for those who have one. Who runs it gives it to you.",
    button: "Connect",
  },
  [FailureCode.TOKEN_REFUSED]: {
    title: "The server refuses the token of its service",
    advice: "Your key is good, but server and service do not have the same keys. Tell the operator, who can set that right.",
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
    advice: "It is started again by itself. If that does not help, reload the page.",
    button: "Restart",
  },
};
