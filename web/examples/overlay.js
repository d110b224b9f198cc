import { InferenceClient } from "../engine/client.js";
import { Overlay } from "../engine/overlay.js";

const video = /** @type {HTMLVideoElement} */ (document.querySelector("video"));
const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector("canvas"));

document.querySelector("button")?.addEventListener("click", async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  video.srcObject = stream;
  await video.play();
  const overlay = new Overlay(video, canvas);
  const client = new InferenceClient({
    url: `${location.origin.replace("http", "ws")}/ws/inference`,
    track: stream.getVideoTracks()[0],
    pipeline: { ocr: true },
  });
  client.addEventListener("result", (event) => {
    overlay.observe(/** @type {CustomEvent} */ (event).detail); // boxes, skeletons, outlines, texts
  });
  client.addEventListener("texts", (event) => {
    /** @type {{text: string}[]} What OCR read, to be listed. */
    const texts = /** @type {CustomEvent} */ (event).detail.texts;
    document.querySelector("pre")?.replaceChildren(texts.map(({ text }) => text).join("\n"));
  });
  client.start();
});
