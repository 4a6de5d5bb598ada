// The service, asked. What it refuses comes as a Refusal in words; while it is away, requests wait for it.

import { ask as fetchWithKey } from "./key.js";
import { set, state } from "./store.js";

const ADVICE = {
  too_many_streams: "Many pages watch at once; this one looks again by itself.",
  unreadable_picture: "Choose a JPEG, PNG, WebP, BMP or TIFF picture.",
  picture_too_large: "Make the picture smaller and try again.",
  body_too_large: "Choose a smaller file.",
  unreadable_vector: "Choose a file that Export, or editq vectors export, has written, or a .npy file of its numbers.",
  vector_mismatch: "It is another model's: choose that model above, and import it there.",
  mask_unchanged: "Paint something into the mask first, or choose a change of a part.",
  nothing_to_stop: "It has not done a step yet: wait a moment, or cancel it.",
  not_enough_space: "Ask whoever runs the service to make room.",
  outputs_expired: "Roll the sample or upload the picture again.",
  out_of_memory: "Try again when less is going on, or take fewer steps.",
  deadline_passed: "Submit it again, with more time.",
};
const TRY_FOR_MS = 60_000;
const PAUSE_MS = 1000;

export class Refusal extends Error {
  constructor(problem, status) {
    super(inWords(problem));
    this.code = problem.code ?? "unknown";
    this.status = status;
    this.problem = problem;
  }
}

/** A problem document, or a job's error, as sentences: what happened, what was expected, what to do. */
export function inWords(problem) {
  const detail = problem.detail ?? "Something went wrong.";
  const expected = problem.expected && !detail.includes(problem.expected) ? ` Expected: ${problem.expected}.` : "";
  const advice = ADVICE[problem.code] ?? (problem.retryable ? "Trying again later may help." : "");
  return `${detail}${expected}${advice ? ` ${advice}` : ""}`;
}

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

async function ask(path, request, patient) {
  const until = Date.now() + TRY_FOR_MS;
  for (;;) {
    let answer;
    try {
      answer = await fetchWithKey(path, request);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      lost();
      if (!patient || Date.now() > until) {
        throw new Refusal({ detail: "The service does not answer.", retryable: true, code: "away" }, 0);
      }
      await pause(PAUSE_MS);
      continue;
    }
    if (answer.status === 503 && patient && Date.now() < until) {
      await pause(PAUSE_MS);
      continue;
    }
    if (state.away) set({ away: false });
    const version = answer.headers.get("Editq-Version");
    if (version && !state.version) set({ version });
    if (version && version !== state.version && !state.updated) set({ updated: true });
    return answer;
  }
}

async function read(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await answer.json() : null;
  if (!answer.ok) throw new Refusal(body ?? { detail: `The service answered ${answer.status}.` }, answer.status);
  return body;
}

export const get = async (path, signal) => read(await ask(path, { signal, cache: "no-cache" }, true));

/** POST with a key of its own, so that a lost answer never makes two. */
export async function post(path, body) {
  const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return read(await ask(path, { method: "POST", headers, body: body && JSON.stringify(body) }, true));
}

export async function bytes(path) {
  const answer = await ask(path, {}, true);
  if (!answer.ok) await read(answer);
  return new Uint8Array(await answer.arrayBuffer());
}

export const submit = (spec) =>
  post("/v1/jobs", { ...spec, options: { priority: "interactive", ...spec.options } });

export async function upload(file, role = "picture") {
  const form = new FormData();
  form.append("file", file, file.name || "picture");
  if (role !== "picture") form.append("role", role);
  return read(await ask("/v1/images", { method: "POST", body: form }, true));
}

/** A vector's file, with what is said of it: { model, name, editing_type, tags, q_edit }; what is empty is left out. */
export async function sendVector(file, about) {
  const form = new FormData();
  form.append("file", file, file.name);
  for (const [name, value] of Object.entries(about)) for (const each of [value].flat()) if (each) form.append(name, each);
  return read(await ask("/v1/vectors", { method: "POST", body: form }, true));
}

export const output = (job, name) => `/v1/jobs/${job}/outputs/${name}`;
export const ended = (job) => ["succeeded", "failed", "canceled"].includes(job.status);

let looking = false;

/** Say that the service is away, and look until it is back. */
export async function lost() {
  set({ away: true });
  if (looking) return;
  looking = true;
  while (state.away) {
    await pause(PAUSE_MS);
    const back = await fetch("/livez", { cache: "no-store" }).then((answer) => answer.ok, () => false);
    if (back) set({ away: false });
  }
  looking = false;
}
