// Runs the exported model beside this file; it needs ONNX Runtime alone: npm install onnxruntime-node
//
//   node run.mjs "a text" "[[0.5, 1.0], [0.1, 0.2]]"    items: texts, or JSON of token numbers or of rows
//   node run.mjs --live "a text"                        step by step, the state carried on: a line after each step
//
// In a browser: const model = await load(ort, async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer()))
// Texts of bytes, characters and letters become tokens here, rows are scaled here (they must be complete); items of
// other models are given as token numbers: see "reading" in manifest.json.

const one = (c, folded) => ([...folded].length === 1 ? folded : c);
const FOLDS = {
  lower: (c) => one(c, c.toLowerCase()),
  upper: (c) => one(c, c.toUpperCase()),
  digits: (c) => (/\p{Nd}/u.test(c) ? "0" : c),
  spaces: (c) => (/[\s\x1c-\x1f\x85]/.test(c) && c !== "\ufeff" ? "" : c),
};

export async function load(ort, bytesOf) {
  const about = JSON.parse(new TextDecoder().decode(await bytesOf("manifest.json"))), graphs = {};
  for (const name of Object.keys(about.graphs)) graphs[name] = await ort.InferenceSession.create(await bytesOf(`${name}.onnx`));
  return new Model(ort, about, graphs);
}

export class Model {
  constructor(ort, about, graphs) {
    Object.assign(this, { ort, about, graphs, width: about.input.kind === "rows" ? about.input.size : 1 });
    this.ids = new Map((about.reading.vocabulary ?? []).map((token, place) => [token, place + 2]));
  }

  /** Return the steps of an item: token numbers, or rows. */
  read(item) {
    const how = this.about.reading;
    if (how.kind === "rows") {
      const rows = item.map((row) => [row].flat().map((x, d) => (how.mean ? (x - how.mean[d]) / how.scale[d] : x)));
      return rows.map((row) => [...row, ...Array(how.indicators).fill(0)]);
    }
    if (typeof item !== "string") return item;
    if (how.kind === "tokens") throw new Error(`${how.why}, such as [4, 2, 7]`);
    const text = how.folds.reduce((found, fold) => [...found].map(FOLDS[fold]).join(""), item);
    const ids = how.kind === "bytes" ? [...new TextEncoder().encode(text)].map((b) => b + 2) : [...text].map((c) => this.ids.get(c) ?? 1);
    return [...how.begin, ...ids.slice(0, how.max_length ?? undefined)];
  }

  tensor(dtype, numbers, shape) {
    return new this.ort.Tensor(dtype, dtype === "int64" ? BigInt64Array.from(numbers, BigInt) : Float32Array.from(numbers), shape);
  }

  steps(numbers, ...axes) {
    return this.about.input.kind === "rows" ? this.tensor("float32", numbers, [...axes, this.width]) : this.tensor("int64", numbers, axes);
  }

  /** Return the scores of sequences of steps, a row each. */
  async run(sequences) {
    const lengths = sequences.map((s) => s.length), time = Math.max(1, ...lengths);
    const flat = sequences.flatMap((s) => [...s.flat(), ...Array((time - s.length) * this.width).fill(0)]);
    const given = { input: this.steps(flat, sequences.length, time), lengths: this.tensor("int64", lengths, [lengths.length]) };
    const { data, dims } = (await this.graphs.sequence.run(given, ["scores"])).scores;
    return sequences.map((_, row) => [...data.slice(row * dims[1], (row + 1) * dims[1])]);
  }

  /** Return the state before the first step of one sequence. */
  begin() {
    return Object.fromEntries(Object.entries(this.about.state).map(([name, { shape, dtype, begins }]) => {
      const size = shape.reduce((a, b) => a * b, 1), numbers = Array.isArray(begins) ? begins.flat(Infinity) : Array(size).fill(begins);
      return [name, this.tensor(dtype, numbers, [1, ...shape])];
    }));
  }

  /** Return the scores after one more step of one sequence, and the next state. */
  async step(x, state) {
    const given = { input: this.steps([x].flat(), 1) };
    for (const name in state) given[`state.${name}`] = state[name];
    const { scores, ...after } = await this.graphs.step.run(given);
    return [[...scores.data], Object.fromEntries(Object.keys(state).map((name) => [name, after[`next.${name}`]]))];
  }

  /** Return the prediction that scores stand for. */
  present(scores) {
    const { kind, labels, mean, scale } = this.about.prediction;
    if (kind === "number") return { value: mean + scale * scores[0] };
    if (kind === "scores") return { scores };
    const top = Math.max(...scores), powers = scores.map((s) => Math.exp(s - top)), sum = powers.reduce((a, b) => a + b, 0);
    const shares = kind === "sigmoid" ? scores.map((s) => 1 / (1 + Math.exp(-s))) : powers.map((p) => p / sum);
    const best = shares.indexOf(Math.max(...shares));
    if (kind === "token") return { token: best, probability: shares[best] };
    const label = kind === "sigmoid" ? labels.filter((_, place) => shares[place] >= 0.5) : labels[best];
    return { label, probability: shares[best], probabilities: Object.fromEntries(labels.map((name, k) => [name, shares[k]])) };
  }
}

if (typeof process !== "undefined" && process.argv[1] && import.meta.url.endsWith(process.argv[1].split(/[\\/]/).pop())) {
  const { readFile } = await import("node:fs/promises");
  const ort = await import("onnxruntime-node").catch(() => import("onnxruntime-web"));
  const model = await load(ort, (name) => readFile(new URL(name, import.meta.url)));
  const live = process.argv.includes("--live"), items = process.argv.slice(2).filter((text) => text !== "--live");
  const sequences = items.map((text) => model.read(text.startsWith("[") ? JSON.parse(text) : text));
  const show = (scores) => console.log(JSON.stringify(model.present(scores)));
  if (!live) (await model.run(sequences)).forEach(show);
  for (const steps of live ? sequences : []) {
    let state = model.begin(), scores;
    for (const step of steps) show(([scores, state] = await model.step(step, state))[0]);
  }
}
