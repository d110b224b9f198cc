/**
 * Where the picture comes from: a camera, the screen, a file, or the server's sample clip.
 *
 * @module
 */

import { Failure, FailureCode } from "../shared/failure.js";
import { openClip } from "./clip.js";
import { errorName } from "./playback.js";

/**
 * No model looks at more than this; a larger picture costs the laptop and the network for nothing. As the camera has
 * it, not cut to this shape: a browser that cuts takes the sides or the ends off.
 */
const CAMERA = {
  width: { ideal: 640 },
  height: { ideal: 480 },
  frameRate: { ideal: 30 },
  resizeMode: { ideal: "none" },
};
const SCREEN_FRAMERATE = 30;
/** As the server takes it, `hello.watch`. */
const STREAM_NAME = /^[A-Za-z0-9._~-]{1,64}$/;

/**
 * @typedef {object} OpenSource
 * @property {MediaStream} stream
 * @property {MediaStreamTrack} track
 * @property {() => void} close
 * @property {HTMLVideoElement} [film] Which a clip plays from.
 * @property {(size: {width: number, height: number}) => void} [fit] Makes a blank as large as a picture.
 * @typedef {import("../shared/bridge.js").Source} Source
 */

/**
 * @param {Source} source
 * @param {(needed: boolean) => void} onTap As of `play`.
 * @returns {Promise<OpenSource>} Rejects with `Failure`.
 */
export async function openSource(source, onTap) {
  switch (source.kind) {
    case "camera":
      return fromStream(await openCamera(source));
    case "screen":
      return fromStream(await openScreen());
    case "file":
      return openClip([URL.createObjectURL(source.file)], onTap);
    case "sample":
      return openClip(source.urls, onTap);
    case "watch":
      if (!STREAM_NAME.test(source.name)) throw new Failure(FailureCode.BAD_STREAM_NAME);
      return openBlank();
  }
}

/** @param {import("../shared/bridge.js").Camera} camera */
async function openCamera({ deviceId, facing }) {
  const media = mediaDevices("getUserMedia");
  const video = {
    ...CAMERA,
    ...(deviceId && { deviceId: { exact: deviceId } }),
    ...(facing && { facingMode: { ideal: facing } }),
  };
  try {
    return await media.getUserMedia({ video });
  } catch (error) {
    throw new Failure(cameraFailure(error), String(error));
  }
}

async function openScreen() {
  const media = mediaDevices("getDisplayMedia");
  try {
    return await media.getDisplayMedia({ video: { frameRate: { max: SCREEN_FRAMERATE } } });
  } catch (error) {
    // Too long after the tap (Screen Capture, 5.1): no dialog was shown.
    const untapped = errorName(error) === "InvalidStateError";
    throw new Failure(untapped ? FailureCode.SCREEN_NEEDS_TAP : FailureCode.SCREEN_DENIED, String(error));
  }
}

/** @returns {Promise<{deviceId: string, label: string}[]>} Those cameras whose names this document may know. */
export async function listCameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  return devices
    .filter(({ kind, deviceId, label }) => kind === "videoinput" && deviceId !== "" && label !== "")
    .map(({ deviceId, label }) => ({ deviceId, label }));
}

/**
 * @param {"getUserMedia" | "getDisplayMedia"} call
 * @returns {MediaDevices} Which can do that: phones share no screen, some web views open no camera.
 */
function mediaDevices(call) {
  if (!isSecureContext) throw new Failure(FailureCode.INSECURE_ORIGIN);
  if (navigator.mediaDevices?.[call] === undefined) throw new Failure(FailureCode.SOURCE_UNSUPPORTED, call);
  return navigator.mediaDevices;
}

/**
 * Names of errors: W3C Media Capture and Streams, 10.2.
 *
 * @param {unknown} error
 */
function cameraFailure(error) {
  switch (errorName(error)) {
    case "NotFoundError":
    case "OverconstrainedError":
      return FailureCode.NO_CAMERA;
    case "NotAllowedError":
    case "SecurityError":
      return FailureCode.CAMERA_DENIED;
    default: // NotReadableError, AbortError
      return FailureCode.CAMERA_BUSY;
  }
}

/** @param {MediaStream} stream @returns {OpenSource} */
function fromStream(stream) {
  const [track] = stream.getVideoTracks();
  return { stream, track, close: () => track.stop() };
}

/** In place of a picture that is elsewhere. @returns {OpenSource} */
function openBlank() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
  const context = canvas.getContext("2d", { alpha: false });
  const timer = setInterval(() => context?.fillRect(0, 0, canvas.width, canvas.height), 1000 / SCREEN_FRAMERATE);
  const source = fromStream(canvas.captureStream(SCREEN_FRAMERATE));
  return {
    ...source,
    close: () => {
      clearInterval(timer);
      source.close();
    },
    fit: ({ width, height }) => {
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    },
  };
}
