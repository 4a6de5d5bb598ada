// What was done to pictures, as trees: a job's picture was made of that whose code the job began with.

import { get, output } from "./api.js";
import { keep, kept } from "./store.js";

const MOST = 200;
const PICTURES = ["edited.png", "picture_000_00.png", "picture_000.png", "inverted.png"];

/** job id -> { job, parent, name, picture }, oldest first; parent null: nothing was before. */
const nodes = new Map((kept("history") ?? []).map((node) => [node.job, node]));
export const changes = new EventTarget(); // tells "change"

/** What a job did, in a few words. */
export function nameOf({ kind, spec }) {
  if (kind === "sample") return `sample ${spec.seed}`;
  if (kind === "invert") return "your picture";
  if (kind === "apply") return `${spec.vectors.length} vector${spec.vectors.length === 1 ? "" : "s"}`;
  const done = (spec.mask_operations ?? []).map(({ op, part, factor }) => (op === "copy" ? `painted ${part}` : factor ? `${part} × ${factor}` : `${op} ${part ?? ""}`));
  return done.join(", ") || "painted mask";
}

/** A job that left a picture, and those that it came from. */
export async function remember(job) {
  const picture = PICTURES.find((name) => name in job.outputs);
  const parent = job.spec.inversion ?? null;
  if (!nodes.has(job.id)) {
    nodes.set(job.id, { job: job.id, parent, name: nameOf(job), picture: picture ? output(job.id, picture) : null });
    while (nodes.size > MOST) nodes.delete(nodes.keys().next().value);
    changed();
  }
  if (parent && !nodes.has(parent)) await get(`/v1/jobs/${parent}`).then(remember, () => null); // it may be gone
}

export function forget(id) {
  nodes.delete(id);
  changed();
}

function changed() {
  keep("history", [...nodes.values()]);
  changes.dispatchEvent(new Event("change"));
}

/** The tree that a job is in, from its first picture on: { node, children: [...] }; null where it is in none. */
export function treeOf(id) {
  let root = nodes.get(id);
  if (!root) return null;
  while (nodes.has(root.parent)) root = nodes.get(root.parent);
  const grow = (node) => ({ node, children: [...nodes.values()].filter((each) => each.parent === node.job).map(grow) });
  return grow(root);
}
