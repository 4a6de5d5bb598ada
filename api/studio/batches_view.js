// The batches view: many inputs under one spec; one batch's page at #/batches/<id>.

import { get, inWords, post } from "./api.js";
import { ago, button, el, lasting, say } from "./dom.js";

const LOOK_MS = 2000;
const ENDED = ["succeeded", "completed_with_errors", "failed", "canceled"];
const words = (status) => status.replaceAll("_", " ");

export class BatchesView {
  constructor() {
    this.body = el("div", { class: "batches" });
    this.box = el("section", { class: "list-view", "aria-label": "Batches" }, this.body);
  }

  entered(id) {
    this.id = id;
    this.drawn = null;
    this.timer = setInterval(() => document.hidden || this.look(), LOOK_MS);
    return this.look();
  }

  leave() {
    clearInterval(this.timer);
  }

  async look() {
    const { id } = this;
    try {
      const found = await get(id ? `/v1/batches/${encodeURIComponent(id)}` : "/v1/batches?limit=50");
      if (id !== this.id) return;
      const text = JSON.stringify(found);
      if (text === this.drawn) return;
      this.drawn = text;
      const focused = document.activeElement?.dataset?.action;
      this.body.replaceChildren(...(id ? this.page(found) : this.list(found.items)));
      if (focused) this.body.querySelector(`[data-action="${focused}"]`)?.focus();
    } catch (error) {
      this.drawn = null;
      this.body.replaceChildren(el("h1", {}, "Batches"), el("p", { class: "problem", role: "alert" }, error.message));
    }
  }

  list(batches) {
    const rows = batches.map((batch) => el("li", { class: "job" }, el("div", { class: "grow" },
      el("p", { class: "row title" }, el("a", { href: `#/batches/${batch.id}`, "data-action": batch.id }, batch.spec.template?.kind ?? batch.spec.spec?.kind ?? "batch"), this.state(batch), el("span", { class: "hint" }, ago(batch.created_at))),
      this.bar(batch))));
    const none = el("p", { class: "hint" }, "No batches yet. They are submitted over the API: POST /v1/batches, or editq's client.");
    return [el("h1", {}, "Batches"), rows.length ? el("ul", { class: "rows" }, rows) : none];
  }

  state(batch) {
    return el("span", { class: `status ${batch.status}` }, batch.paused && !ENDED.includes(batch.status) ? "paused" : words(batch.status));
  }

  bar({ counts }) {
    const done = counts.succeeded + counts.failed + counts.canceled + counts.running;
    return el("p", { class: "row" }, el("progress", { class: "grow", max: counts.items || 1, value: done, "aria-label": "Items done" }), el("span", { class: "hint" }, `${done} of ${counts.items}`));
  }

  page(batch) {
    const { counts } = batch;
    const over = ENDED.includes(batch.status);
    const action = (name, word, given = {}) => button(word, () => this.ask(name), { "data-action": name, ...given });
    const figures = { ...counts, "items/s": batch.items_per_s ?? "–", "time left": batch.seconds_left === null ? "–" : lasting(batch.seconds_left) };
    return [
      el("p", {}, el("a", { href: "#/batches", "data-action": "all" }, "← All batches")),
      el("header", { class: "row" }, el("h1", { class: "grow" }, `Batch ${batch.id.slice(0, 8)} …`), this.state(batch)),
      this.bar(batch),
      el("div", { class: "row" },
        !over && !batch.paused && action("pause", "Pause"), !over && batch.paused && action("resume", "Resume"),
        !over && action("cancel", "Cancel", { class: "danger", disabled: batch.cancel_requested }),
        over && batch.status !== "succeeded" && action("retry", "Retry what did not succeed"),
        batch.archive_url && el("a", { class: "button", href: batch.archive_url, download: "" }, "Download all results")),
      batch.error && el("p", { class: "problem" }, inWords(batch.error)),
      el("dl", { class: "counts" }, Object.entries(figures).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value))))),
      Object.keys(batch.errors).length > 0 && el("section", { class: "panel" }, el("h2", {}, "Errors"), el("ul", {}, Object.entries(batch.errors).map(([code, n]) => el("li", {}, `${n} × `, el("a", { href: `/v1/errors/${encodeURIComponent(code)}` }, words(code)))))),
      (batch.previews ?? []).length > 0 && el("section", { class: "panel" }, el("h2", {}, "Newest"), el("div", { class: "previews" }, batch.previews.map(({ id, url }) => el("figure", {}, el("img", { src: url, alt: `Result of ${id}` }), el("figcaption", {}, id))))),
    ].filter(Boolean);
  }

  async ask(what) {
    try {
      const batch = await post(`/v1/batches/${encodeURIComponent(this.id)}/${what}`);
      if (what === "retry") location.hash = `#/batches/${batch.id}`;
    } catch (error) {
      say(error.message, { bad: true });
    }
    await this.look();
  }
}
