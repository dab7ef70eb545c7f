// Runs the exported model beside this file; it needs only ONNX Runtime: npm install onnxruntime-node
//
//   node run.mjs "a text" "[[0.5, null], [0.1, 0.2]]"   items: texts, or JSON of token numbers, of ids or of rows
//   node run.mjs --live "a text"                        step by step with carried state: one line for each step
//   node run.mjs -- "--live"                            everything after -- is an item
//
// In a browser: const model = await load(ort, async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer()))
// It reads texts of bytes, characters and letters, and rows of numbers, which it scales; null or NaN in a row marks a
// missing value. Give items of other models as token numbers, or as rows of ids: "reading" in manifest.json says which.

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
    this.dtype = about.input.kind === "rows" ? "float32" : "int64";
    this.row = about.input.kind === "tokens" ? [] : [about.input.size];
    this.perStep = about.prediction.per_step ?? about.prediction.kind === "tags";
  }

  /** Return the steps of an item: token numbers, or rows of ids or numbers; throw if the model cannot read it. */
  read(item) {
    const how = this.about.reading, size = this.about.input.size;
    if (how.kind === "rows") return this.scaled(rowsOf(item, how.mean.length));
    if (how.kind === "ids") return idsOf(item, this.about.input.columns, how.why);
    if (typeof item === "string") {
      if (how.kind === "tokens") throw new Error(`${how.why}, such as [4, 2, 7]`);
      const text = [...item].map((c) => (/^[\ud800-\udfff]$/.test(c) ? "\ufffd" : c));
      const bytes = () => [...new TextEncoder().encode(text.join(""))].map((byte) => byte + 2);
      const ids = how.kind === "bytes" ? bytes() : text.map((c) => (Object.hasOwn(how.numbers, c) ? how.numbers[c] : 1));
      item = [...how.begin, ...ids.filter((id) => id !== null).slice(0, how.max_length ?? undefined)];
    }
    if (!Array.isArray(item) || !item.every((token) => Number.isInteger(token) && token >= 0 && token < size))
      throw new Error(`got ${shown(item)}; expected a list of token numbers, each in [0, ${size - 1}].`);
    return item;
  }

  /** Return rows as in training: scaled, missing values filled, and a mark for each channel that may miss one. */
  scaled(rows) {
    const how = this.about.reading, held = [...how.fill];
    return rows.map((row) => {
      if (how.missing === "error" && row.some(Number.isNaN))
        throw new Error("got a missing value; expected none: the model was trained to refuse them.");
      const values = row.map((x, d) => {
        if (!Number.isNaN(x)) held[d] = x;
        return Number.isNaN(x) && how.missing === "zero" ? 0 : (held[d] - how.mean[d]) / how.scale[d];
      });
      if (!values.every((x) => Number.isFinite(Math.fround(x))))
        throw new Error("got a number that float32 cannot hold; expected numbers as in training.");
      return [...values, ...how.indicated.map((d) => Number(Number.isNaN(row[d])))];
    });
  }

  /** Return the scores of sequences of steps, a row each; of tags a row for each of their steps. */
  async run(sequences) {
    const lengths = sequences.map((steps) => steps.length), axes = [sequences.length, Math.max(1, ...lengths), ...this.row];
    const padding = (steps) => Array((axes[1] - steps.length) * (this.row[0] ?? 1)).fill(0);
    const input = this.tensor(this.dtype, sequences.flatMap((steps) => [...steps.flat(), ...padding(steps)]), axes);
    const given = { input, lengths: this.tensor("int64", lengths, [lengths.length]) };
    const { data, dims } = (await this.graphs.sequence.run(given, ["scores"])).scores, width = dims.at(-1);
    const rowAt = (row) => [...data.slice(row * width, (row + 1) * width)];
    if (!this.perStep) return sequences.map((_, row) => rowAt(row));
    return sequences.map((steps, row) => steps.map((_, step) => rowAt(row * dims[1] + step)));
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

  /** Return what takes the scores of step after step. */
  stream() {
    return this.about.prediction.kind === "tags" ? new Tags(this.about.prediction) : new Outputs();
  }

  /** Return the prediction that scores stand for. */
  present(scores) {
    const { kind, mean, scale, ...told } = this.about.prediction, labels = told.names ?? told.labels;
    if (this.perStep) {
      const steps = this.stream();
      return steps.told([...scores.flatMap((row) => steps.push([...row])), ...steps.finish()]);
    }
    if (!["number", "softmax", "sigmoid", "token"].includes(kind)) return { outputs: [...scores] };
    const top = Math.max(...scores);
    if (kind === "number") return { value: mean + scale * scores[0] };
    const powers = scores.map((s) => Math.exp(s - top)), sum = powers.reduce((a, b) => a + b, 0);
    const shares = kind === "sigmoid" ? scores.map((s) => 1 / (1 + Math.exp(-s))) : powers.map((p) => p / sum);
    const best = scores.indexOf(top), probability = shares[best];
    if (kind === "token") return { token: best, probability };
    const label = kind === "sigmoid" ? labels.filter((_, k) => shares[k] >= 0.5) : labels[best];
    return { label, probability, probabilities: Object.fromEntries(labels.map((name, k) => [name, shares[k]])) };
  }
}

/** The scores of a sequence as they are. */
class Outputs {
  push(row) {
    return [row];
  }

  finish() {
    return [];
  }

  told(outputs) {
    return { outputs };
  }
}

/** The tags of a sequence: from left to right, or at its end the best sequence. */
class Tags {
  constructor(how) {
    Object.assign(this, { how, rows: [], path: [], given: 0 });
    const size = how.names.length, flags = (numbers) => how.names.map((_, k) => numbers.includes(k));
    this.legal = how.next === null ? Array(size).fill(Array(size).fill(true)) : how.next.map(flags);
    [this.first, this.last] = [flags(how.first), flags(how.last)];
    this.renamed = new Map(how.renamed.map(([before, number, name]) => [`${before},${number}`, name]));
  }

  /** Take the scores of a step; return the tags and their probabilities that will not change. */
  push(row) {
    this.rows.push(row);
    if (this.how.exact) return [];
    this.path.push(best(row, this.path.length ? this.legal[this.path.at(-1)] : this.first));
    return this.taken(this.path.length - (this.last[this.path.at(-1)] ? 0 : 1));
  }

  /** Return the tags that are left: the sequence ends here. */
  finish() {
    const { path, last } = this;
    if (this.how.exact && this.rows.length) this.path = this.bestPath();
    else if (path.length && !last[path.at(-1)]) {
      const legal = path.length > 1 ? this.legal[path.at(-2)] : this.first;
      path[path.length - 1] = best(this.rows.at(-1), last.map((may, k) => may && legal[k]));
    }
    return this.taken(this.path.length);
  }

  /** Return the legal path with the highest total score. */
  bestPath() {
    const pointers = [];
    let total = this.rows[0].map((score, k) => (this.first[k] ? score : -Infinity));
    for (const row of this.rows.slice(1)) {
      const top = Math.max(...total);
      const pointer = row.map((_, k) => best(total, this.legal.map((following) => following[k])));
      total = row.map((score, k) => (this.legal[pointer[k]][k] ? total[pointer[k]] - top : -Infinity) + score);
      pointers.push(pointer);
    }
    const path = [best(total, this.last)];
    for (const pointer of pointers.reverse()) path.push(pointer[path.at(-1)]);
    return path.reverse();
  }

  taken(end) {
    const tags = [], { groups, names } = this.how;
    for (let step = this.given; step < end; step += 1) {
      const number = this.path[step], before = step ? this.path[step - 1] : -1, top = Math.max(...this.rows[step]);
      const powers = this.rows[step].map((s) => Math.exp(s - top)), sum = powers.reduce((a, b) => a + b, 0);
      const share = powers.filter((_, k) => groups[k] === groups[number]).reduce((a, b) => a + b, 0) / sum;
      tags.push([this.renamed.get(`${before},${number}`) ?? names[number], Math.min(1, share)]);
    }
    this.given = Math.max(this.given, end);
    return tags;
  }

  /** Return tags as a prediction. */
  told(tags) {
    return { tags: tags.map(([name]) => name), probabilities: tags.map(([, share]) => share) };
  }
}

/** Return the place of the largest allowed score, the first of equal ones. */
function best(scores, allowed) {
  const may = scores.map((score, k) => (allowed[k] ? score : -Infinity));
  return Math.max(may.indexOf(Math.max(...may)), 0);
}

/** Return the rows of ids of an item. */
function idsOf(item, columns, why) {
  if (!Array.isArray(item)) throw new Error(`${why}, such as ${JSON.stringify([columns.map(() => 1)])}`);
  const fits = (row) => row.every((id, k) => Number.isInteger(id) && id >= 0 && id < columns[k]);
  for (const row of item)
    if (!Array.isArray(row) || row.length !== columns.length || !fits(row))
      throw new Error(
        `got ${shown(row)}; expected rows of ${columns.length} ids, of 0 or more and below ${columns.join(", ")}.`,
      );
  return item;
}

/** Return the rows of a series, NaN where a value is missing. */
function rowsOf(item, width) {
  const value = (x) => x === null || (typeof x === "number" && Math.abs(x) !== Infinity);
  const rows = Array.isArray(item) && width === 1 ? item.map((row) => [row].flat()) : item;
  if (Array.isArray(rows) && rows.every((row) => Array.isArray(row) && row.length === width && row.every(value)))
    return rows.map((row) => row.map((x) => x ?? NaN));
  const expected = width > 1 ? `rows of ${width} numbers` : "a list of numbers";
  throw new Error(`got ${shown(item)}; expected ${expected}, null or NaN for one that is missing.`);
}

/** Return a value for a message, cut where it is long. */
function shown(value) {
  const text = JSON.stringify(value, (_, x) => (Math.abs(x) === Infinity ? String(x) : x)) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}…`;
}

/** Return the item that a word of the command line stands for. */
export function parsed(model, text) {
  const { kind } = model.about.reading;
  if (kind !== "rows" && kind !== "ids" && !(kind === "tokens" && text.trimStart().startsWith("["))) return text;
  try {
    return JSON.parse(text.replace(/\bNaN\b/g, "null"));
  } catch {
    const example = { rows: "[[0.5, null]]", ids: "[[4, 2], [7, 3]]" }[kind] ?? "[4, 2, 7]";
    throw new Error(`got ${shown(text)}; expected JSON such as ${example}.`);
  }
}

/** Yield the predictions of steps that each step makes certain, and at the end the rest. */
async function* liveSteps(model, steps) {
  const stream = model.stream(), { delay } = model.about, late = [];
  const ahead = Array(delay).fill(model.row.length ? Array(model.row[0]).fill(0) : 0);
  let state = model.begin(), scores;
  for (const [number, step] of [...steps, ...ahead].entries()) {
    [scores, state] = await model.step(step, state);
    const certain = number >= delay ? stream.push(scores) : [];
    if (number < steps.length) yield stream.told(certain);
    else late.push(...certain);
  }
  yield stream.told([...late, ...stream.finish()]);
}

/** Write a prediction for each item, and return the exit code. */
async function main(words, readFile) {
  const source = new TextDecoder().decode(await readFile(new URL(import.meta.url)));
  const usage = source.slice(0, source.indexOf("\n\n")).replace(/^\/\/ ?/gm, "");
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const isOption = (word, place) => place < end && (word.startsWith("--") || word === "-h");
  const options = words.filter(isOption), items = words.filter((word, place) => place !== end && !isOption(word, place));
  if (options.includes("--help") || options.includes("-h")) return console.log(usage), 0;
  const unknown = options.find((option) => option !== "--live");
  if (unknown || !items.length) {
    const got = unknown ? `option: got ${unknown}; expected --live, or --help.` : "items: got none; expected one or more.";
    return console.error(`${got}\n\n${usage}`), 2;
  }
  const failed = (error) => null;
  const ort = (await import("onnxruntime-node").catch(failed)) ?? (await import("onnxruntime-web").catch(failed));
  if (ort === null) return console.error("this program needs a package: npm install onnxruntime-node"), 3;
  const sequences = [];
  let model;
  try {
    model = await load(ort, (name) => readFile(new URL(name, import.meta.url)));
    if (options.length && !model.graphs.step)
      throw new Error("--live: got a model that reads from the end too; it needs whole sequences.");
    items.forEach((text, place) => {
      try {
        sequences.push(model.read(parsed(model, text)));
      } catch (error) {
        throw new Error(`item ${place + 1}: ${error.message}`);
      }
    });
  } catch (error) {
    return console.error(error.message), 2;
  }
  for (const scores of options.length ? [] : await model.run(sequences)) console.log(JSON.stringify(model.present(scores)));
  for (const steps of options.length ? sequences : []) {
    if (model.perStep) {
      for await (const prediction of liveSteps(model, steps)) console.log(JSON.stringify(prediction));
      continue;
    }
    let state = model.begin(), scores;
    for (const step of steps) {
      [scores, state] = await model.step(step, state);
      console.log(JSON.stringify(model.present(scores)));
    }
  }
  return 0;
}

if (globalThis.process?.argv?.[1]?.endsWith("run.mjs")) {
  const { readFile } = await import("node:fs/promises");
  process.stdout.on("error", () => process.exit(0)); // who reads has seen enough
  process.exitCode = await main(process.argv.slice(2), readFile);
}
