// The jobs view: what was asked for, what runs, and what became of it.

import { ended, get, inWords, output, post } from "./api.js";
import { ago, button, el, lasting, say } from "./dom.js";
import { editable, openSource } from "./sources.js";

const LOOK_MS = 2000;
const PAGE = 25;
const STATUSES = ["", "queued", "running", "succeeded", "failed", "canceled"];

/** What a job is about, in a few words. */
function about({ kind, spec }) {
  const parts = (spec.mask_operations ?? []).map((each) => `${each.op} ${each.part ?? each.into}`);
  const more = { sample: `seed ${spec.seed}`, edit: parts.join(", ") || "painted mask", apply: `${spec.vectors?.length} vector${spec.vectors?.length === 1 ? "" : "s"}`, invert: `${spec.steps} steps` }[kind];
  return more ? `${kind.replaceAll("_", " ")} · ${more}` : kind.replaceAll("_", " ");
}

export class JobsView {
  constructor() {
    this.open = new Set();
    this.rows = el("ul", { class: "rows", "aria-label": "Jobs" });
    this.status = el("select", { "aria-label": "Status", onchange: () => this.restart() },
      STATUSES.map((status) => el("option", { value: status }, status || "all")));
    this.more = button("Older ones", () => ((this.limit = Math.min(100, this.limit + PAGE)), this.look()), { class: "wide", hidden: true });
    this.limit = PAGE;
    this.box = el("section", { class: "list-view", "aria-label": "Jobs" },
      el("header", { class: "row" }, el("h1", { class: "grow" }, "Jobs"), el("label", {}, "Show ", this.status)), this.rows, this.more);
  }

  entered() {
    this.timer = setInterval(() => document.hidden || this.look(), LOOK_MS);
    return this.look();
  }

  leave() {
    clearInterval(this.timer);
  }

  restart() {
    this.limit = PAGE;
    this.looking = false; // an answer on its way is about another status
    return this.look();
  }

  async look() {
    if (this.looking) return;
    this.looking = true;
    try {
      await this.fetch();
    } finally {
      this.looking = false;
    }
  }

  async fetch() {
    const query = new URLSearchParams({ limit: String(this.limit) });
    if (this.status.value) query.set("status", this.status.value);
    try {
      const page = await get(`/v1/jobs?${query}`);
      if (this.status.value === (query.get("status") ?? "")) this.draw(page);
    } catch (error) {
      this.rows.replaceChildren(el("li", { class: "problem" }, error.message));
    }
  }

  /** Only what has changed is drawn anew, so that focus and open details stay. */
  draw(page) {
    const known = new Map([...this.rows.children].map((row) => [row.dataset.job, row]));
    const rows = page.items.map((job) => {
      const state = JSON.stringify([job.status, job.progress, job.cancel_requested, job.stop_requested, ago(job.created_at)]);
      const row = known.get(job.id);
      if (row?.dataset.state === state) return row;
      const made = this.row(job);
      made.dataset.state = state;
      return made;
    });
    const focused = document.activeElement?.dataset?.action;
    const job = document.activeElement?.closest?.("li")?.dataset.job;
    const same = rows.length === this.rows.children.length && rows.every((row, i) => row === this.rows.children[i]);
    if (!same) this.rows.replaceChildren(...rows);
    if (!same && focused) this.rows.querySelector(`li[data-job="${job}"] [data-action="${focused}"]`)?.focus();
    if (!page.items.length) this.rows.replaceChildren(el("li", { class: "hint" }, this.status.value ? `No job is ${this.status.value}.` : "No jobs yet. Roll a sample in the edit view."));
    this.more.hidden = !page.next_cursor || this.limit >= 100;
  }

  row(job) {
    const { step, total, seconds_left: left } = job.progress ?? {};
    const action = (name, word, given = {}) => button(word, () => this.ask(job, name), { "data-action": name, ...given });
    const time = job.ended_at && job.started_at ? lasting((Date.parse(job.ended_at) - Date.parse(job.started_at)) / 1000) : "";
    return el("li", { class: "job", "data-job": job.id },
      this.thumb(job),
      el("div", { class: "grow" },
        el("p", { class: "row title" }, el("strong", {}, about(job)), el("span", { class: `status ${job.status}` }, job.cancel_requested && !ended(job) ? "being canceled" : job.status),
          el("span", { class: "hint" }, [ago(job.created_at), time].filter(Boolean).join(" · "))),
        job.status === "running" && el("p", { class: "row" }, el("progress", { class: "grow", max: total || 1, ...(step ? { value: step } : {}), "aria-label": "Progress" }),
          el("span", { class: "hint" }, step ? `${step} of ${total}${Number.isFinite(left) ? ` · ${lasting(left)} left` : ""}` : "starting")),
        job.error && el("p", { class: "problem" }, inWords(job.error)),
        this.details(job)),
      el("div", { class: "row actions" },
        editable(job) && button("Open", () => this.take(job), { "data-action": "open" }),
        !ended(job) && job.progress?.step && ["invert", "edit", "learn_vector"].includes(job.kind) && action("stop", "Stop"),
        !ended(job) && action("cancel", "Cancel", { class: "danger", disabled: job.cancel_requested }),
        ended(job) && action("retry", "Retry")));
  }

  thumb(job) {
    const name = ["edited.png", "picture_000.png", "picture_000_00.png", "inverted.png", "vector_00_after.png"].find((each) => each in job.outputs);
    return name ? el("img", { class: "thumb", src: output(job.id, name), alt: "", loading: "lazy" }) : el("span", { class: "thumb" });
  }

  details(job) {
    const links = Object.entries(job.outputs).map(([name, { url }]) => el("a", { href: url, download: name }, name));
    const shown = { id: job.id, spec: job.spec, result: job.result, error: job.error, attempt: job.attempt, worker: job.worker };
    const details = el("details", { open: this.open.has(job.id) }, el("summary", { "data-action": "details" }, "Details"),
      links.length && el("p", { class: "links" }, links), el("pre", { tabIndex: 0 }, JSON.stringify(shown, null, 2)));
    details.addEventListener("toggle", () => this.open[details.open ? "add" : "delete"](job.id));
    return details;
  }

  async take(job) {
    try {
      await openSource(job.id);
      location.hash = "#/edit";
    } catch (error) {
      say(error.message, { bad: true });
    }
  }

  async ask(job, what) {
    try {
      await post(`/v1/jobs/${job.id}/${what}`);
      if (what === "retry") say("Submitted again.");
    } catch (error) {
      say(error.message, { bad: true });
    }
    await this.look();
  }
}
