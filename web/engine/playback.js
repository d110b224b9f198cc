/**
 * Video that plays: by itself where the browser lets it, else at a tap on the picture. Phones that save power, and
 * browsers with strict settings, want that tap in the very document that plays.
 *
 * @module
 */

import { Failure, FailureCode } from "../shared/failure.js";

const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("play"));

/**
 * @param {HTMLVideoElement} video Starts to play, or rejects with `Failure`.
 * @param {(needed: boolean) => void} onTap Told when a tap is waited for, and when it came.
 */
export async function play(video, onTap) {
  try {
    await video.play();
  } catch (error) {
    if (errorName(error) !== "NotAllowedError") throw new Failure(FailureCode.FILE_UNPLAYABLE, String(error));
    onTap(true);
    await tap();
    onTap(false);
    await video.play().catch((again) => {
      throw new Failure(FailureCode.PLAYBACK_BLOCKED, String(again));
    });
  }
}

async function tap() {
  if (button === null) throw new Failure(FailureCode.PLAYBACK_BLOCKED);
  button.hidden = false;
  await new Promise((resolve) => button.addEventListener("click", resolve, { once: true }));
  button.hidden = true;
}

/**
 * Not each is a `DOMException`: Safari's `OverconstrainedError` is a kind of its own.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function errorName(error) {
  return Object(error).name ?? "";
}
