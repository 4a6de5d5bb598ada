// What is edited: a job that left a code, with its picture and mask. And how one comes to be.

import { bytes, get, output, submit, upload } from "./api.js";
import { nameOf, remember } from "./history.js";
import { decodeValues, encodeGrey } from "./png.js";
import { keep, kept, set, state } from "./store.js";

const OUTPUTS = {
  sample: ["picture_000.png", "mask_000.png"],
  invert: ["inverted.png", "mask.png"],
  edit: ["edited.png", "edited_mask.png"],
  apply: ["picture_000_00.png", "mask_000_00.png"],
};

export const editable = (job) => job.status === "succeeded" && job.kind in OUTPUTS && OUTPUTS[job.kind].every((name) => name in job.outputs);

/** A sample, drawn by its seed. */
export const drawSample = (seed) => submit({ kind: "sample", model: state.model.name, seed, count: 1 });

/** A picture of the user's own: kept, and the code of a square of it looked for. box null: of its middle. */
export async function invertPicture(file, steps, box = null) {
  const image = await upload(file);
  return submit({ kind: "invert", model: state.model.name, image: image.id, steps, ...(box && { box }) });
}

/** Whether what is made of this job's picture can be pasted back into a photograph. */
const hasPhoto = (job) => job.kind === "invert" || ["pasted.png", "pasted_000_00.png"].some((name) => name in job.outputs);

let opening = 0; // of what is opened at the same time, the newest wins

/**
 * Take a job's picture as what is edited from now on, and the result of an edit of it as what is compared: both at
 * once, for the address names both. A result that is gone is told of once the picture is open.
 */
export async function openSource(id, result = null) {
  const mine = (opening += 1);
  const source = await sourceOf(id);
  const [found, problem] = result ? await resultOf(result).then((each) => [each, null], (error) => [null, error]) : [null, null];
  if (mine !== opening) return;
  set({ ...source, result: found });
  if (problem) throw problem;
}

/** The result of an edit that has just ended, unless something else is opened meanwhile. */
export async function openResult(id) {
  const mine = opening;
  const result = await resultOf(id);
  if (mine === opening) set({ result });
}

async function sourceOf(id) {
  const job = await get(`/v1/jobs/${id}`);
  if (!editable(job)) throw new Error("That job has left no picture that could be edited (any more).");
  const [picture, mask] = OUTPUTS[job.kind];
  const model = state.models.find((each) => each.name === job.spec.model);
  if (!model) throw new Error(`The model ${job.spec.model} is not there any more.`);
  remember(job);
  return { model, source: { job: id, name: nameOf(job), photo: hasPhoto(job), picture: output(id, picture), mask: output(id, mask) } };
}

async function resultOf(id) {
  const job = await get(`/v1/jobs/${id}`);
  if (job.kind !== "edit" || !editable(job)) throw new Error("That edit has left no picture (any more).");
  remember(job);
  const files = { before: "inverted.png", after: "edited.png", mask: "edited_mask.png", ...("pasted.png" in job.outputs && { pasted: "pasted.png" }) };
  return { job: id, ...Object.fromEntries(Object.entries(files).map(([role, name]) => [role, output(id, name)])) };
}

export async function foundMask(source) {
  const { width, height, values } = await decodeValues(await bytes(source.mask));
  if (width !== height) throw new Error("The mask is no square.");
  return { size: width, values };
}

/** Painting that was not sent yet outlives a reload. */
export async function keepPainting(source, mask) {
  if (!mask.changed) return keep("painting", null);
  const blob = await encodeGrey(mask.values, mask.size, mask.size);
  const letters = Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) => String.fromCharCode(byte));
  keep("painting", { job: source.job, png: btoa(letters.join("")) });
}

export async function keptPainting(source, size) {
  const painting = kept("painting");
  if (painting?.job !== source.job) return null;
  try {
    const raw = Uint8Array.from(atob(painting.png), (letter) => letter.charCodeAt(0));
    const { width, values } = await decodeValues(raw);
    return width === size ? values : null;
  } catch {
    return null;
  }
}

/** What an edit is to aim for, as members of its spec: a painted mask, operations, or the two one after the other. */
export async function aimOf(mask, operations) {
  if (!mask.changed) return { mask_operations: operations };
  const blob = await encodeGrey(mask.values, mask.size, mask.size);
  const image = await upload(new File([blob], "mask.png", { type: "image/png" }), "mask");
  if (!operations.length) return { mask: image.id };
  const names = new Map(state.model.parts.map((part) => [part.id, part.name]));
  const { touched, gained } = mask.differences();
  const copies = [...gained].map((id) => ({ op: "copy", part: names.get(id), mask: image.id }));
  const about = new Set([...[...touched].map((id) => names.get(id)), ...operations.map((each) => each.part)]);
  return { mask_operations: [...copies, ...operations], q_edit: [...about] };
}
