// One job, followed to its end: by its events as they happen, and by looking where those cannot be had.

import { ended, get, lost, Refusal } from "./api.js";
import { Stream } from "./stream.js";

const STATES = ["queued", "cancel_requested", "stop_requested", "succeeded", "failed", "canceled"];
const LOOK_MS = 1000;
const LOOK_ANYWAY_MS = 5000;

/** Whether a preview is a picture in itself, as workers send them. */
export const isPicture = (preview) => /^data:image\/(png|jpeg);base64,/.test(preview ?? "");

/**
 * Calls onchange(job) now, at each change of state and at each word of progress, until the job has ended.
 * known: the job, where it was just submitted, which is not asked for again before something changes.
 * Returns { done, leave }: done resolves with the ended job, or with null once left.
 */
export function follow(id, onchange, known = null) {
  let job = known;
  let left = false;
  let finish;
  let fail;
  const done = new Promise((resolve, reject) => ([finish, fail] = [resolve, reject]));
  const close = () => {
    left = true;
    stream?.close();
    clearInterval(timer);
  };
  let looks = 0;
  const look = async () => {
    if (left || (looks += 1) > 1) return;
    try {
      const found = await get(`/v1/jobs/${id}`);
      again();
      if (left) return;
      job = { ...found, progress: found.progress ?? job?.progress };
    } catch (error) {
      again();
      if (left || !(error instanceof Refusal) || error.status === 0 || error.status >= 500) return;
      close();
      fail(error);
      return;
    }
    if (ended(job)) close();
    onchange(job);
    if (ended(job)) finish(job);
  };
  /** Who wanted to look meanwhile is not forgotten: what was found may be older than that. */
  const again = () => {
    const more = looks > 1;
    looks = 0;
    if (more) setTimeout(look);
  };
  const runs = (more) => {
    if (left || !job) return;
    job = { ...job, status: "running", ...more };
    onchange(job);
  };
  const onevent = (type, data) => {
    if (type === "queued" && job?.status === "queued" && data.number <= 1) return; // as it is known
    if (STATES.includes(type)) look();
    else if (type === "running") runs({});
    else if (["progress", "phase"].includes(type)) runs({ progress: data });
  };
  const stream = new Stream(`/v1/jobs/${id}/events`, { onevent, onlost: checkAlive });
  let looked = Date.now();
  const timer = setInterval(() => {
    if (!stream.closed && Date.now() - looked < LOOK_ANYWAY_MS) return;
    looked = Date.now();
    look();
  }, LOOK_MS);
  if (known) onchange(known);
  else look();
  const leave = () => {
    close();
    finish(null);
  };
  return { done, leave };
}

const checkAlive = () => fetch("/livez", { cache: "no-store" }).catch(() => lost());
