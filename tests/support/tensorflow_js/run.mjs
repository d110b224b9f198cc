// node run.mjs MODEL.json INPUT OUTPUT, with a description of both on the command line:
//   INPUT   raw numbers in a file, as JSON {shape, type} says ("float32" or "int32")
//   sizes   {node: [height, width]}: constants of the graph that hold sizes, to be set for this input
//   outputs names of nodes, whose values go to OUTPUT as JSON [{shape, data}]
import fs from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { loadGraphModel } from "@tensorflow/tfjs-converter";

const [topology, input, output, description] = process.argv.slice(2);
const { shape, type, sizes, outputs } = JSON.parse(description);
await tf.setBackend("cpu");

const saved = JSON.parse(fs.readFileSync(topology, "utf8"));
const weights = fs.readFileSync(topology.replace(/json$/, "bin"));
const specs = saved.weightsManifest.flatMap((group) => group.weights);
let offset = 0;
for (const { name, shape: dimensions, quantization } of specs) {
  (sizes[name] ?? []).forEach((size, index) => weights.writeInt32LE(size, offset + 4 * index));
  offset += dimensions.reduce((product, size) => product * size, 1) * (quantization ? 2 : 4);
}
// The sizes of the input that it was saved with are not those of this one.
delete saved.signature;
for (const node of saved.modelTopology.node) if (node.op === "Placeholder") delete node.attr.shape;
const model = await loadGraphModel({
  load: async () => ({ modelTopology: saved.modelTopology, weightSpecs: specs, weightData: new Uint8Array(weights).buffer }),
});
const numbers = new Uint8Array(fs.readFileSync(input)).buffer;
const tensor = tf.tensor(type === "int32" ? new Int32Array(numbers) : new Float32Array(numbers), shape, type);
const values = [await model.executeAsync({ [model.inputs[0].name]: tensor }, outputs)].flat();
fs.writeFileSync(output, JSON.stringify(values.map((each) => ({ shape: each.shape, data: Array.from(each.dataSync()) }))));
