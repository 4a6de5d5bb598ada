// Vectors applied to the current picture: the newest wish wins, and a sweep is at hand for one vector alone.

import { strengthFor, useOf } from "./amounts.js";
import { output, post, submit } from "./api.js";
import { loaded } from "./compare.js";
import { calmly } from "./dom.js";
import { follow, isPicture } from "./events.js";
import { blobOf } from "./key.js";
import { state } from "./store.js";

const FRAMES = 16;
const WAIT_MS = 220;
const free = (sweep) => sweep?.frames?.forEach(({ picture, mask }) => [picture, mask].forEach((url) => URL.revokeObjectURL(url)));
const pad = (n) => String(n).padStart(2, "0");

export class Applying extends EventTarget {
  /** Tells "shown" (detail: { picture, mask, job, exact }; no mask: as before), "busy" (detail: words or null), "trouble" (detail: words). */
  constructor() {
    super();
    this.wish = 0;
    this.current = null;
    this.sweep = null;
    this.asked = 0; // the wish that was asked for last
    this.later = calmly(() => this.asked !== this.wish && this.apply(), WAIT_MS);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** A slider has moved: show what is at hand, then ask for exactly this. */
  moved(uses) {
    this.uses = uses;
    this.wish += 1;
    const wanted = uses.filter((use) => use.value !== 0);
    if (wanted.length === 0) return this.back();
    if (wanted.length === 1) this.scrub(wanted[0]);
    if (this.current) this.later(); // it may just be done: the newest wish has a moment's patience
    else this.apply();
  }

  back() {
    this.give_up();
    const { source } = state;
    this.tell("busy", null);
    if (source) this.tell("shown", { picture: source.picture, mask: source.mask, job: null, exact: true });
  }

  /** Nothing asked for before counts any more. */
  give_up() {
    const { current } = this;
    this.wish += 1;
    this.current = null;
    if (!current) return;
    current.following?.leave();
    if (current.id) post(`/v1/jobs/${current.id}/cancel`).catch(() => null); // it may have ended meanwhile
  }

  async apply(more = {}) {
    const wanted = (this.uses ?? []).filter((use) => use.value !== 0);
    if (!wanted.length || !state.source) return;
    this.give_up();
    const wish = (this.asked = this.wish);
    const mine = (this.current = { id: null, following: null });
    const nearest = () => wish === this.wish || wanted.length > 1; // else the sweep has shown something nearer
    this.tell("busy", "Applying …");
    try {
      const job = await submit({ kind: "apply", model: state.model.name, inversion: state.source.job, vectors: wanted.map(useOf), ...more });
      if (this.current !== mine) return void post(`/v1/jobs/${job.id}/cancel`).catch(() => null);
      mine.id = job.id;
      mine.following = follow(job.id, ({ progress }) => nearest() && this.progress(progress ?? {}), job);
      const done = await mine.following.done;
      if (!done || this.current !== mine) return;
      this.current = null;
      if (wish !== this.wish) {
        if (done.status === "succeeded" && nearest()) this.shown(job.id, false);
        return void this.apply();
      }
      this.tell("busy", null);
      if (done.status === "failed") this.tell("trouble", done.error?.detail ?? "It failed.");
      if (done.status === "succeeded") this.shown(job.id);
    } catch (error) {
      if (this.current !== mine) return;
      this.current = null;
      this.tell("busy", null);
      this.tell("trouble", error.message);
    }
  }

  /** The picture itself is told before its files are saved. */
  progress({ preview, step, total }) {
    if (isPicture(preview)) this.tell("shown", { picture: preview, job: null, exact: false });
    if (total > 1 && step) this.tell("busy", `Refining: step ${step} of ${total}`);
  }

  shown(id, exact = true) {
    this.tell("shown", { picture: output(id, "picture_000_00.png"), mask: output(id, "mask_000_00.png"), job: exact ? id : null, exact });
  }

  /** The nearest picture of the sweep, at once. */
  scrub({ vector, range, value }) {
    const { sweep } = this;
    if (sweep?.key !== this.keyOf(vector) || !sweep.decoded) return;
    const strength = range.unit === "amount" ? strengthFor(vector, value) : value;
    if (strength === null) return;
    const far = sweep.factors.map((factor) => Math.abs(factor - strength));
    const frame = sweep.frames[far.indexOf(Math.min(...far))];
    this.tell("shown", { ...frame, job: null, exact: false });
  }

  forget() {
    free(this.sweep);
    this.sweep = null;
  }

  keyOf = (vector) => `${state.source?.job} ${vector.id}`;

  /** Draw one vector's whole range ahead, so that its slider is followed at once. */
  async prepare({ vector, range }) {
    const key = this.keyOf(vector);
    if (!state.source || this.sweep?.key === key) return;
    const [low, high] = range.strengths;
    const factors = Array.from({ length: FRAMES }, (_, i) => Number((low + ((high - low) * i) / (FRAMES - 1)).toFixed(4)));
    this.forget();
    const sweep = (this.sweep = { key, factors, frames: null, decoded: null });
    try {
      const spec = { kind: "apply", model: state.model.name, inversion: state.source.job, vectors: [{ vector: vector.id, strength: 1 }], sweep: factors };
      const job = await submit({ ...spec, options: { priority: "standard" } });
      const done = await follow(job.id, () => null).done;
      if (done?.status !== "succeeded" || this.sweep !== sweep) return;
      const inMemory = async (name) => (await blobOf(output(job.id, name))).url;
      const frame = async (i) => ({ picture: await inMemory(`picture_000_${pad(i)}.png`), mask: await inMemory(`mask_000_${pad(i)}.png`) });
      sweep.frames = await Promise.all(factors.map((_, i) => frame(i)));
      sweep.decoded = await Promise.all(sweep.frames.flatMap(({ picture, mask }) => [loaded(picture), loaded(mask)])); // held: shown within a frame
      if (this.sweep !== sweep) free(sweep);
    } catch {
      free(sweep);
      if (this.sweep === sweep) this.sweep = null; // scrubbing is a comfort: each wish is asked for anyway
    }
  }
}
