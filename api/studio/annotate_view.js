// The annotate view: paint the masks of a handful of the model's pictures, and train its segmenter on them.

import { Annotations, partsOf, suggest } from "./annotations.js";
import { get, output } from "./api.js";
import { loaded } from "./compare.js";
import { button, calmly, el, say } from "./dom.js";
import { shortcuts } from "./keys.js";
import { Mask } from "./mask.js";
import { Painter } from "./painter.js";
import { RunPanel } from "./run_panel.js";
import { TrainPanel } from "./train_panel.js";
import { state, watch } from "./store.js";
import { TOOLS, ToolsPanel } from "./tools_panel.js";

const ENOUGH = 2;
const KEEP_AFTER_MS = 400;

export class AnnotateView {
  constructor() {
    this.canvas = el("canvas", { class: "stage-canvas", id: "annotated", tabIndex: 0, role: "application", "aria-label": "Mask on the picture. Arrow keys move a cursor, Space paints." });
    this.painter = new Painter(this.canvas);
    this.keepSoon = calmly(() => this.mask && this.work.write(this.at, this.mask), KEEP_AFTER_MS);
    this.tools = new ToolsPanel(this.painter, () => this.keepSoon());
    this.run = new RunPanel();
    this.training = new TrainPanel(() => this.train());
    this.build();
    this.painter.addEventListener("stroke", () => this.keepSoon());
    this.painter.addEventListener("hover", ({ detail }) => (this.under.textContent = this.parts?.[detail]?.name ?? ""));
    watch(["model"], () => this.otherModel());
    this.listen();
  }

  build() {
    this.count = el("input", { type: "number", min: "2", max: "64", value: "16", id: "annotate-count" });
    this.seed = el("input", { type: "number", min: "0", value: "0", id: "annotate-seed" });
    this.names = el("input", { id: "annotate-parts", autocomplete: "off", spellcheck: false, onchange: () => this.named() });
    const form = el("form", { onsubmit: (event) => (event.preventDefault(), this.suggest()), class: "form" },
      el("div", { class: "row halves" }, el("label", { class: "field" }, "How many", this.count), el("label", { class: "field" }, "From seed", this.seed)),
      el("button", { type: "submit", class: "primary wide", id: "suggest" }, "Suggest pictures"),
      el("p", { class: "hint" }, "Of 200 samples, those that would teach the model's parts most."),
      el("label", { class: "field" }, "Parts, by their names", this.names));
    this.grid = el("div", { class: "annotations", role: "group", "aria-label": "Pictures to annotate" });
    this.under = el("output", { class: "under" });
    this.finish = button("Done, next", () => this.finished(), { class: "primary", id: "annotated-done", title: "This mask is right; go to the next (D)" });
    this.empty = el("div", { class: "empty" }, el("h1", {}, "Teach the model its parts"),
      el("p", {}, "Suggest pictures, correct their masks, and train. About 16 are enough."));
    this.stageBox = el("div", { class: "mask-box", hidden: true }, el("div", { class: "stage-box" }, this.canvas),
      el("div", { class: "row zoom" }, this.under, button("Fit", () => this.painter.view.reset(), { class: "quiet" }), this.finish));
    this.box = el("div", { class: "edit-view annotate-view" },
      el("aside", { class: "left" }, el("section", { class: "panel", "aria-label": "Pictures to annotate" }, el("h2", {}, "Pictures"), form, this.grid), this.tools.box),
      el("section", { class: "stage", "aria-label": "Picture" }, this.empty, this.stageBox),
      el("aside", { class: "right" }, this.training.box, this.run.box, this.training.report));
  }

  listen() {
    const here = () => this.box.isConnected && !this.box.hidden;
    const key = (keys, shown, does, work) => ({ keys, shown, does, work });
    shortcuts("Annotate", here, [
      ...TOOLS.map(([tool, name, letter]) => key([letter.toLowerCase()], [letter], name, () => this.tools.choose(tool))),
      key(["["], ["["], "Smaller brush", () => this.tools.resize(this.painter.diameter - 1)),
      key(["]"], ["]"], "Larger brush", () => this.tools.resize(this.painter.diameter + 1)),
      key(["ctrl+z"], ["Ctrl", "Z"], "Undo", () => this.tools.step("undo")),
      key(["ctrl+shift+z", "ctrl+y"], ["Ctrl", "Shift", "Z"], "Redo", () => this.tools.step("redo")),
      key(["d"], ["D"], "Done, next", () => this.work && this.finished()),
      key(["0"], ["0"], "Fit the picture", () => this.painter.view.reset()),
    ]);
  }

  async entered() {
    if (this.begun || !state.model) return;
    await this.reopen();
  }

  otherModel() {
    this.training.report.hidden = true;
    if (!this.run.busy) this.run.box.hidden = true;
    if (this.begun || !this.box.hidden) this.reopen();
  }

  /** The work on this model that was left, if any. */
  async reopen() {
    const { model } = state;
    if (!model) return;
    this.begun = true;
    this.training.name(model);
    const work = await Annotations.reopened(model).catch(() => null);
    if (model === state.model) this.take(work);
  }

  async suggest() {
    if (this.run.busy || !state.model) return;
    if (this.work?.masks.size && !confirm("The masks painted here are given up for new pictures. Go on?")) return;
    try {
      const asked = await suggest(Number(this.count.value), Number(this.seed.value));
      const job = await this.run.start(asked.id, "Looking for pictures");
      if (job?.status !== "succeeded") return;
      const work = new Annotations(job);
      if (job.spec.model === state.model.name) this.take(work);
      else work.keep(); // it is there when its model is chosen again
    } catch (error) {
      this.run.fail(error.message);
    }
  }

  take(work) {
    this.work = work;
    this.mask = null;
    this.empty.hidden = Boolean(work);
    this.stageBox.hidden = this.tools.box.hidden = !work;
    this.parts = partsOf(work?.names ?? state.model.parts.map((part) => part.name), state.model);
    this.names.value = this.parts.map((part) => part.name).join(", ");
    if (work) {
      work.keep();
      this.tools.show(this.parts);
    }
    this.draw();
    if (work) this.show(0);
  }

  /** Other names than the model's own: the masks are of those parts then. */
  named() {
    const names = this.names.value.split(",").map((name) => name.trim()).filter(Boolean);
    const own = state.model.parts.map((part) => part.name);
    const same = names.length === own.length && names.every((name, i) => name === own[i]);
    if (names.length < 2) return say("Name at least two parts, separated by commas.", { bad: true });
    this.parts = partsOf(names, state.model);
    if (!this.work) return;
    this.work.names = same ? null : names;
    this.work.keep();
    this.tools.show(this.parts);
    this.show(this.at);
  }

  async show(i) {
    try {
      this.at = i;
      this.mask = null;
      const [picture, { size, found, values }] = await Promise.all([loaded(this.work.items[i].picture), this.work.read(i)]);
      if (this.at !== i) return;
      this.mask = new Mask(size, found, values);
      this.tools.size.max = String(Math.max(8, Math.round(size / 4)));
      this.painter.show(picture, this.mask, this.parts.map((part) => part.colour));
      this.tools.refresh();
    } catch (error) {
      say(error.message, { bad: true });
    }
    this.draw();
  }

  async finished() {
    if (!this.mask) return;
    await this.work.write(this.at, this.mask);
    this.work.done.add(this.at);
    this.work.keep();
    const { items, done } = this.work;
    const next = items.findIndex((_, i) => !done.has(i));
    this.draw();
    if (next >= 0) this.show(next);
    else say("All are done: train.");
  }

  draw() {
    const { items = [], done = new Set() } = this.work ?? {};
    this.grid.replaceChildren(...items.map(({ picture, seed }, i) => button(el("img", { src: picture, alt: `Sample ${seed}${done.has(i) ? ", done" : ""}` }), () => this.show(i), { class: done.has(i) ? "thumb-button done" : "thumb-button", "aria-pressed": String(i === this.at) })));
    this.training.ready(done.size, items.length, done.size >= ENOUGH);
  }

  async train() {
    if (this.run.busy) return;
    try {
      const asked = await this.work.train(this.training.asked, (words) => this.training.tell(words));
      this.training.tell("");
      const job = await this.run.start(asked.id, "Training the segmenter");
      if (job?.status !== "succeeded") return;
      this.training.show(await get(`/v1/jobs/${job.id}`), (name) => output(job.id, name));
      dispatchEvent(new Event("models"));
    } catch (error) {
      this.run.fail(error.message);
    }
  }
}
