/**
 * A clip as a source: played in a loop onto a canvas, for not every browser can capture a `<video>`.
 *
 * @module
 */

import { canvasReadsBack } from "../shared/canvas_readback.js";
import { Failure, FailureCode } from "../shared/failure.js";
import { timeoutSignal } from "../shared/timeout_signal.js";
import { play } from "./playback.js";

const FRAMERATE = 30;
const PROBE_MS = 3000;
const SIZE_MS = 5000;
const SIZE_POLL_MS = 20;
/** The canvas' longer and shorter side at most. Canvases of 4K are more than iPhones have memory for. */
const LONG = 640;
const SHORT = 480;

/**
 * @param {string[]} urls Of the same clip in several formats: the first that the browser plays. Released by `close()` where
 *   they are blobs'.
 * @param {(needed: boolean) => void} onTap As of `play`.
 * @returns {Promise<import("./source.js").OpenSource>} Rejects with `Failure`.
 */
export async function openClip(urls, onTap) {
  const video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true });
  const canvas = document.createElement("canvas");
  let timer = 0;
  const release = () => {
    clearInterval(timer);
    video.removeAttribute("src");
    video.load();
    for (const url of urls) URL.revokeObjectURL(url);
  };
  try {
    if (canvas.captureStream === undefined) throw new Failure(FailureCode.SOURCE_UNSUPPORTED, "captureStream");
    if (!(await canvasReadsBack())) throw new Failure(FailureCode.CANVAS_HIDDEN);
    await playFirst(video, urls, onTap);
    await hasSize(video);
  } catch (error) {
    release();
    throw error;
  }
  Object.assign(canvas, fitted(video.videoWidth, video.videoHeight));
  const context = canvas.getContext("2d", { alpha: false });
  timer = setInterval(() => context?.drawImage(video, 0, 0, canvas.width, canvas.height), 1000 / FRAMERATE);
  const stream = canvas.captureStream(FRAMERATE);
  const [track] = stream.getVideoTracks();
  return {
    stream,
    track,
    film: video,
    close: () => {
      track.stop();
      release();
    },
  };
}

/**
 * WebKit may play before it knows how large the pictures are. A clip without pictures has no size.
 *
 * @param {HTMLVideoElement} video
 */
async function hasSize(video) {
  const abort = timeoutSignal(SIZE_MS);
  while (video.videoWidth === 0) {
    const isLoaded = video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
    if (isLoaded || video.error !== null || abort.aborted) throw new Failure(FailureCode.FILE_UNPLAYABLE, "no size");
    await new Promise((resolve) => setTimeout(resolve, SIZE_POLL_MS));
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @returns {{width: number, height: number}} In whole pixels, of the same shape, never larger.
 */
export function fitted(width, height) {
  const scale = Math.min(1, LONG / Math.max(width, height), SHORT / Math.min(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * @param {HTMLVideoElement} video
 * @param {string[]} urls
 * @param {(needed: boolean) => void} onTap
 */
async function playFirst(video, urls, onTap) {
  for (const [i, url] of urls.entries()) {
    video.src = url;
    try {
      return await play(video, onTap);
    } catch (error) {
      const next = i + 1 < urls.length;
      if (!(error instanceof Failure) || error.code !== FailureCode.FILE_UNPLAYABLE) throw error;
      if (!(await isThere(url))) throw new Failure(FailureCode.SERVER_UNREACHABLE, error.message);
      if (!next) throw error;
    }
  }
}

/**
 * A video element does not tell what nobody serves from what it cannot read.
 *
 * @param {string} url
 */
async function isThere(url) {
  if (url.startsWith("blob:")) return true;
  try {
    return (await fetch(url, { method: "HEAD", cache: "no-store", signal: timeoutSignal(PROBE_MS) })).ok;
  } catch {
    return false;
  }
}
