/**
 * Where the picture comes from: a camera, the screen, a file, or the server's sample clip.
 *
 * @module
 */

import { Failure, FailureCode } from "../shared/failure.js";

/** No model looks at more than this; a larger picture costs the laptop and the network for nothing. */
const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
const CLIP_FRAMERATE = 30;

/**
 * @typedef {{stream: MediaStream, track: MediaStreamTrack, close: () => void}} OpenSource
 * @typedef {import("../shared/bridge.js").Source} Source
 */

/**
 * @param {Source} source
 * @returns {Promise<OpenSource>} Rejects with `Failure`.
 */
export async function openSource(source) {
  switch (source.kind) {
    case "camera":
      return fromStream(await openCamera(source.deviceId ?? null));
    case "screen":
      return fromStream(await openScreen());
    case "file":
      return openClip(URL.createObjectURL(source.file));
    case "sample":
      return openClip(source.url);
  }
}

/** @param {string | null} deviceId */
async function openCamera(deviceId) {
  if (!isSecureContext || navigator.mediaDevices === undefined) throw new Failure(FailureCode.INSECURE_ORIGIN);
  const video = deviceId === null ? CAMERA : { ...CAMERA, deviceId: { exact: deviceId } };
  try {
    return await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    throw new Failure(cameraFailure(error), String(error));
  }
}

async function openScreen() {
  if (!isSecureContext || navigator.mediaDevices?.getDisplayMedia === undefined) {
    throw new Failure(FailureCode.INSECURE_ORIGIN);
  }
  try {
    return await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: CLIP_FRAMERATE } } });
  } catch (error) {
    throw new Failure(FailureCode.SCREEN_DENIED, String(error));
  }
}

/**
 * Names of `DOMException`: W3C Media Capture and Streams, 10.2.
 *
 * @param {unknown} error
 */
function cameraFailure(error) {
  switch (error instanceof DOMException ? error.name : "") {
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

/**
 * Plays a clip in a loop onto a canvas: not every browser can capture a `<video>`, all can capture a canvas.
 *
 * @param {string} url Released by `close()` when it is a blob's.
 * @returns {Promise<OpenSource>}
 */
async function openClip(url) {
  const video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true });
  const canvas = document.createElement("canvas");
  let timer = 0;
  const release = () => {
    clearInterval(timer);
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  };
  try {
    video.src = url;
    await video.play();
  } catch (error) {
    release();
    throw new Failure(FailureCode.FILE_UNPLAYABLE, String(error));
  }
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d", { alpha: false });
  timer = setInterval(() => context?.drawImage(video, 0, 0), 1000 / CLIP_FRAMERATE);
  const source = fromStream(canvas.captureStream(CLIP_FRAMERATE));
  const stop = source.close;
  return {
    ...source,
    close: () => {
      stop();
      release();
    },
  };
}
