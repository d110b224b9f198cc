/**
 * What the page would draw: on standard input a JSON list of clips `{results, shown}`, on standard output for
 * each the boxes `{id, values}` at each time of `shown`. A result is `{time, arrival, result}`: when its frame was
 * captured, and when it came, ms. Times of `shown` ascend.
 */

import { Scene } from "../../web/engine/scene.js";

let input = "";
for await (const part of process.stdin) input += part;

const answer = JSON.parse(input).map(({ results, shown }) => {
  const scene = new Scene();
  let next = 0;
  return shown.map((time) => {
    for (; next < results.length && results[next].arrival <= time; next += 1) {
      scene.observe(results[next].result, results[next].time);
    }
    return scene.at(time).detections.map(({ id, values }) => ({ id, values }));
  });
});
process.stdout.write(JSON.stringify(answer));
