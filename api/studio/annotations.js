// Pictures that are being annotated: which ones, their masks so far, and what a training needs of them.

import { bytes, get, output, submit, upload } from "./api.js";
import { decodeValues, encodeGrey } from "./png.js";
import { keep, kept, state } from "./store.js";

const keptOf = (model) => `annotations.${model}`; // { job, done: [number], masks: { number: base64 }, names }
const TURN = 0.618033988749895;

/** Ask for the pictures that would teach the model's segmenter most. */
export const suggest = (count, seed) => submit({ kind: "suggest_annotations", model: state.model.name, count, seed });

export class Annotations {
  /** job: an ended suggest_annotations job, as the API shows it. */
  constructor(job, memory = null) {
    this.job = job;
    this.items = job.result.suggestions.map((each, i) => ({ ...each, picture: output(job.id, `picture_${pad(i)}.png`), mask: output(job.id, `mask_${pad(i)}.png`) }));
    this.done = new Set(memory?.done);
    this.masks = new Map(Object.entries(memory?.masks ?? {}).map(([i, png]) => [Number(i), png]));
    this.names = memory?.names ?? null;
  }

  /** Those of this model that were left, by a reload or for another model; null where there are none. */
  static async reopened(model) {
    const memory = kept(keptOf(model.name));
    if (!memory) return null;
    const job = await get(`/v1/jobs/${memory.job}`);
    return job.status === "succeeded" ? new Annotations(job, memory) : null;
  }

  keep() {
    keep(keptOf(this.job.spec.model), { job: this.job.id, done: [...this.done], masks: Object.fromEntries(this.masks), names: this.names });
  }

  /** The part ids of picture i: { size, found, values }, found as it was suggested. */
  async read(i) {
    const { width, values: found } = await decodeValues(await bytes(this.items[i].mask));
    const png = this.masks.get(i);
    const values = png && (await decodeValues(Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0)))).values;
    return { size: width, found, values: values ?? null };
  }

  async write(i, mask) {
    const blob = await encodeGrey(mask.values, mask.size, mask.size);
    const letters = Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) => String.fromCharCode(byte));
    this.masks.set(i, btoa(letters.join("")));
    this.keep();
  }

  /** A training on those that are done. names: of the parts where they are not the model's. */
  async train({ name, steps, folds }, told) {
    const annotations = [];
    for (const i of [...this.done].sort((a, b) => a - b)) {
      told(`Sending mask ${annotations.length + 1} of ${this.done.size} …`);
      const { size, found, values } = await this.read(i);
      const blob = await encodeGrey(values ?? found, size, size);
      const image = await upload(new File([blob], "mask.png", { type: "image/png" }), "mask");
      annotations.push({ seed: this.items[i].seed, truncation_psi: this.job.spec.truncation_psi, mask: image.id });
    }
    const parts = this.names ? { parts: this.names } : {};
    return submit({ kind: "train_segmenter", model: this.job.spec.model, name, annotations, steps, folds: Math.min(folds, annotations.length), ...parts });
  }
}

/** Parts by their names: the model's own keep their colours, new ones get one that differs from their neighbours'. */
export function partsOf(names, model) {
  const known = new Map(model.parts.map((part) => [part.name, part.colour]));
  return names.map((name, id) => ({ id, name, colour: known.get(name) ?? colour(id) }));
}

function colour(id) {
  const [hue, value] = [((id * TURN) % 1) * 6, 1 - 0.12 * (id % 4)];
  const channel = (shift) => {
    const k = (shift + hue) % 6;
    return Math.round(255 * (value - value * 0.75 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [channel(5), channel(3), channel(1)];
}

const pad = (n) => String(n).padStart(3, "0");
