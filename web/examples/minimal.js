import { InferenceClient } from "../engine/client.js";

document.querySelector("button")?.addEventListener("click", async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  const [track] = stream.getVideoTracks();
  const client = new InferenceClient({ url: `${location.origin.replace("http", "ws")}/ws/inference`, track });
  client.addEventListener("result", (event) => {
    const { result, ageMs } = /** @type {CustomEvent} */ (event).detail;
    document.querySelector("pre")?.replaceChildren(`${Math.round(ageMs)} ms\n${JSON.stringify(result.detections)}`);
  });
  client.start();
});
