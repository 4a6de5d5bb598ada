// What the page knows, in one place, and who wants to be told when it changes.

const KEPT = ["source", "run", "result"]; // ids alone: the service knows the rest

export const state = {
  models: [],
  model: null, // the one chosen, as /v1/models describes it
  away: false, // whether the service does not answer
  version: null, // of the service, when it first answered
  updated: false, // whether it is another since
  source: null, // { job, picture, mask, name }: what is edited, by the job that left its code
  run: null, // { job, purpose: "source" | "edit" }: the job that the edit view waits for
  result: null, // { job, before, after, mask }: the newest edit
};

const listeners = new Map();

/** Be told when one of these members changes. Returns how to stop it. */
export function watch(names, listener) {
  for (const name of names) {
    if (!listeners.has(name)) listeners.set(name, new Set());
    listeners.get(name).add(listener);
  }
  return () => names.forEach((name) => listeners.get(name).delete(listener));
}

export function set(changes) {
  const told = new Set();
  for (const [name, value] of Object.entries(changes)) {
    if (state[name] === value) continue;
    state[name] = value;
    if (KEPT.includes(name)) keep(name, value);
    for (const listener of listeners.get(name) ?? []) told.add(listener);
  }
  for (const listener of told) listener(state);
}

/** Another model to work with: nothing of the one before stays open. */
export const chooseModel = (model) => set({ model, source: null, result: null });

/** Whether a vector's numbers mean what they say in this model: they were learned on its very generator. */
export const fits = (vector, model = state.model) => vector.generator_sha256 === model?.files.generator?.sha256;

/** Once the models are known: whoever is quicker than the service waits. */
export function modelKnown() {
  if (state.model) return Promise.resolve();
  return new Promise((resolve) => {
    const stop = watch(["model"], () => (stop(), resolve()));
  });
}

/** Remember a value over a reload. A full or forbidden store forgets, and nothing else happens. */
export function keep(name, value) {
  try {
    if (value === null || value === undefined) localStorage.removeItem(`editq.${name}`);
    else localStorage.setItem(`editq.${name}`, JSON.stringify(value));
  } catch {
    // private windows and full disks: the page works without
  }
}

export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(`editq.${name}`));
  } catch {
    return null;
  }
}
