// One job, followed to its end: by its events as they happen, and by looking where those cannot be had.

import { ended, get, lost, Refusal } from "./api.js";
import { Stream } from "./stream.js";

const STATES = ["queued", "running", "cancel_requested", "stop_requested", "succeeded", "failed", "canceled"];
const LOOK_MS = 1000;
const LOOK_ANYWAY_MS = 5000;

/**
 * Calls onchange(job) now, at each change of state and at each word of progress, until the job has ended.
 * Returns { done, leave }: done resolves with the ended job, or with null once left.
 */
export function follow(id, onchange) {
  let job = null;
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
  const stream = open(id, look, (progress) => {
    if (left || !job) return;
    job = { ...job, status: "running", progress };
    onchange(job);
  });
  let looked = Date.now();
  const timer = setInterval(() => {
    if (!stream.closed && Date.now() - looked < LOOK_ANYWAY_MS) return;
    looked = Date.now();
    look();
  }, LOOK_MS);
  look();
  const leave = () => {
    close();
    finish(null);
  };
  return { done, leave };
}

function open(id, onstate, onprogress) {
  return new Stream(`/v1/jobs/${id}/events`, {
    onevent: (type, data) => {
      if (STATES.includes(type)) onstate();
      else if (["progress", "phase"].includes(type)) onprogress(data);
    },
    onlost: checkAlive,
  });
}

const checkAlive = () => fetch("/livez", { cache: "no-store" }).catch(() => lost());
