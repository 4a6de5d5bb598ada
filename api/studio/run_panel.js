// A job that is watched: how far it is, its losses, how long it will take; and how to end it.

import { ended, inWords, post } from "./api.js";
import { button, el, lasting, say } from "./dom.js";
import { follow, isPicture } from "./events.js";
import { Plot } from "./plot.js";

const STOPPABLE = ["edit", "invert", "learn_vector", "apply"];

export class RunPanel extends EventTarget {
  /** Tells "preview" (detail: the picture as it is now, as a data URI) and "over". */
  constructor() {
    super();
    this.plot = new Plot();
    this.title = el("h3", {});
    this.bar = el("progress", { max: "1", "aria-label": "Progress" });
    this.figures = el("p", { class: "figures" });
    this.stop = button("Stop, keep the best", () => this.ask("stop"), { title: "End now with the best found so far" });
    this.cancel = button("Cancel", () => this.ask("cancel"), { class: "danger" });
    this.buttons = el("div", { class: "row" }, this.stop, this.cancel);
    this.error = el("p", { class: "problem", role: "alert", hidden: true });
    this.box = el("section", { class: "panel run", "aria-label": "Running job", hidden: true },
      this.title, this.bar, this.figures, this.plot.box, this.buttons, this.error);
    this.following = null;
  }

  get busy() {
    return this.following !== null;
  }

  /** Follow a job to its end. Resolves with it, or null where another one took its place. */
  async start(id, title) {
    this.following?.leave();
    this.plot.clear();
    this.id = id;
    this.title.textContent = title;
    this.error.hidden = true;
    this.bar.hidden = this.buttons.hidden = this.box.hidden = false;
    this.figures.textContent = "Sent";
    this.bar.removeAttribute("value");
    const following = follow(id, (job) => this.tell(job));
    this.following = following;
    try {
      const job = await following.done;
      if (this.following === following) this.over(job);
      return job;
    } catch (error) {
      if (this.following === following) this.fail(error.message);
      throw error;
    }
  }

  tell(job) {
    this.box.dataset.status = job.status;
    this.stop.hidden = !STOPPABLE.includes(job.kind);
    this.stop.disabled = job.stop_requested || !job.progress?.step;
    this.cancel.disabled = job.cancel_requested;
    const { step, total, seconds_left: left, preview } = job.progress ?? {};
    if (isPicture(preview)) this.dispatchEvent(new CustomEvent("preview", { detail: preview }));
    if (step && total) {
      this.bar.max = total;
      this.bar.value = step;
    } else this.bar.removeAttribute("value");
    this.figures.textContent = this.words(job, step, total, left);
    if (job.status === "running" && job.progress) this.plot.add(job.progress);
  }

  ahead(position) {
    return position < 1000 ? String(position) : "1000 or more"; // as far as the service counts
  }

  words(job, step, total, left) {
    if (job.cancel_requested) return "Being canceled …";
    if (job.stop_requested) return "Stopping with the best so far …";
    if (job.status === "queued") return job.queue_position ? `Waiting: ${this.ahead(job.queue_position)} ahead` : "Waiting for a worker";
    if (!step) return job.progress?.phase === "saving" ? "Saving …" : "Starting …";
    return `Step ${step} of ${total}${Number.isFinite(left) ? ` · ${lasting(left)} left` : ""}`;
  }

  over(job) {
    this.following = null;
    this.dispatchEvent(new Event("over"));
    if (!job) return;
    this.buttons.hidden = this.bar.hidden = true;
    if (job.status === "failed") this.fail(inWords(job.error ?? {}));
    else if (job.status === "canceled") this.figures.textContent = "Canceled. Nothing was changed.";
    else if (job.kind === "sample") this.box.hidden = true; // it is there to be seen
    else {
      const { steps, stopped_early: early, seconds } = job.result;
      this.figures.textContent = `${early ? "Stopped" : "Done"}${steps ? ` after ${steps} steps` : ""}${seconds ? `, ${lasting(seconds)}` : ""}.`;
    }
  }

  fail(words) {
    this.following = null;
    this.dispatchEvent(new Event("over"));
    this.buttons.hidden = this.bar.hidden = true;
    this.figures.textContent = "";
    this.error.textContent = words;
    this.error.hidden = this.box.hidden = false;
  }

  async ask(what) {
    this[what].disabled = true;
    try {
      const job = await post(`/v1/jobs/${this.id}/${what}`);
      if (!ended(job)) this.tell(job);
    } catch (error) {
      this[what].disabled = false;
      say(error.message, { bad: true });
    }
  }
}
