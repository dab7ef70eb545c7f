// Runs the exported model beside this file; it needs ONNX Runtime alone: npm install onnxruntime-node
//
//   node run.mjs "a text" "[[0.5, 1.0], [0.1, 0.2]]"    items: texts, or JSON of token numbers or of rows
//   node run.mjs --live "a text"                        step by step, the state carried on: a line after each step
//
// In a browser: const model = await load(ort, async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer()))
// It reads texts of bytes, characters and letters, and complete rows, which it scales; items of other models are given
// as token numbers: "reading" in manifest.json says which.

export async function load(ort, bytesOf) {
  const about = JSON.parse(new TextDecoder().decode(await bytesOf("manifest.json"))), graphs = {};
  for (const name in about.graphs) graphs[name] = await ort.InferenceSession.create(await bytesOf(`${name}.onnx`));
  const tensor = (dtype, numbers, axes) =>
    new ort.Tensor(dtype, dtype === "int64" ? BigInt64Array.from(numbers, BigInt) : Float32Array.from(numbers), axes);
  return new Model(about, graphs, tensor);
}

export class Model {
  constructor(about, graphs, tensor) {
    Object.assign(this, { about, graphs, tensor });
    [this.dtype, this.row] = about.input.kind === "rows" ? ["float32", [about.input.size]] : ["int64", []];
  }

  /** Return the steps of an item: token numbers, or rows. */
  read(item) {
    const how = this.about.reading, more = Array(how.indicators).fill(0);
    const whole = (row) => [row].flat().length === how.mean.length && [row].flat().every(Number.isFinite);
    if (how.kind === "rows" && !(Array.isArray(item) && item.every(whole))) throw new Error(`expected rows of ${how.mean.length} numbers, none missing`);
    if (how.kind === "rows") return item.map((row) => [...[row].flat().map((x, d) => (x - how.mean[d]) / how.scale[d]), ...more]);
    if (typeof item !== "string") return item;
    if (how.kind === "tokens") throw new Error(`${how.why}, such as [4, 2, 7]`);
    const bytes = () => [...new TextEncoder().encode(item)].map((byte) => byte + 2);
    const ids = how.kind === "bytes" ? bytes() : [...item].map((c) => (Object.hasOwn(how.numbers, c) ? how.numbers[c] : 1));
    return [...how.begin, ...ids.filter((id) => id !== null).slice(0, how.max_length ?? undefined)];
  }

  /** Return the scores of sequences of steps, a row each. */
  async run(sequences) {
    const lengths = sequences.map((steps) => steps.length), axes = [sequences.length, Math.max(1, ...lengths), ...this.row];
    const padding = (steps) => Array((axes[1] - steps.length) * (this.row[0] ?? 1)).fill(0);
    const input = this.tensor(this.dtype, sequences.flatMap((steps) => [...steps.flat(), ...padding(steps)]), axes);
    const given = { input, lengths: this.tensor("int64", lengths, [lengths.length]) };
    const { data, dims } = (await this.graphs.sequence.run(given, ["scores"])).scores;
    return sequences.map((_, row) => [...data.slice(row * dims[1], (row + 1) * dims[1])]);
  }

  /** Return the state before the first step of one sequence. */
  begin() {
    const filled = ({ shape, begins }) => Array(shape.reduce((a, b) => a * b, 1)).fill(begins);
    const first = (s) => this.tensor(s.dtype, Array.isArray(s.begins) ? s.begins.flat(Infinity) : filled(s), [1, ...s.shape]);
    return Object.fromEntries(Object.entries(this.about.state).map(([name, slot]) => [name, first(slot)]));
  }

  /** Return the scores after one more step of one sequence, and the next state. */
  async step(x, state) {
    const given = { input: this.tensor(this.dtype, [x].flat(), [1, ...this.row]) };
    for (const name in state) given[`state.${name}`] = state[name];
    const found = await this.graphs.step.run(given);
    return [[...found.scores.data], Object.fromEntries(Object.keys(state).map((name) => [name, found[`next.${name}`]]))];
  }

  /** Return the prediction that scores stand for. */
  present(scores) {
    const { kind, labels, mean, scale } = this.about.prediction, top = Math.max(...scores);
    if (kind === "number") return { value: mean + scale * scores[0] };
    const powers = scores.map((s) => Math.exp(s - top)), sum = powers.reduce((a, b) => a + b, 0);
    const shares = kind === "sigmoid" ? scores.map((s) => 1 / (1 + Math.exp(-s))) : powers.map((p) => p / sum);
    const best = scores.indexOf(top), probability = shares[best];
    if (kind === "token") return { token: best, probability };
    const label = kind === "sigmoid" ? labels.filter((_, k) => shares[k] >= 0.5) : labels[best];
    return { label, probability, probabilities: Object.fromEntries(labels.map((name, k) => [name, shares[k]])) };
  }
}

if (globalThis.process?.argv?.[1]?.endsWith("run.mjs")) {
  const { readFile } = await import("node:fs/promises");
  const ort = await import("onnxruntime-node").catch(() => import("onnxruntime-web"));
  const model = await load(ort, (name) => readFile(new URL(name, import.meta.url)));
  const live = process.argv.includes("--live"), items = process.argv.slice(2).filter((text) => text !== "--live");
  const asJson = ["rows", "tokens"].includes(model.about.reading.kind);
  const sequences = items.map((text) => model.read(asJson && text.startsWith("[") ? JSON.parse(text) : text));
  for (const scores of live ? [] : await model.run(sequences)) console.log(JSON.stringify(model.present(scores)));
  for (const steps of live ? sequences : []) {
    let state = model.begin(), scores;
    for (const step of steps) {
      [scores, state] = await model.step(step, state);
      console.log(JSON.stringify(model.present(scores)));
    }
  }
}
