// The edit view: get a picture, paint its mask, press Edit, look at what came of it.

import { submit, output } from "./api.js";
import { ChangesPanel } from "./changes_panel.js";
import { Compare, loaded } from "./compare.js";
import { button, calmly, el, say } from "./dom.js";
import { shortcuts } from "./keys.js";
import { Mask } from "./mask.js";
import { Painter } from "./painter.js";
import { encodeGrey } from "./png.js";
import { RunPanel } from "./run_panel.js";
import { SourcePanel } from "./source_panel.js";
import { aimOf, drawSample, foundMask, invertPicture, keepPainting, keptPainting, openSource } from "./sources.js";
import { kept, set, state, watch } from "./store.js";
import { ToolsPanel, TOOLS } from "./tools_panel.js";

const KEEP_AFTER_MS = 400;
const TITLES = { sample: "Drawing a sample", invert: "Looking for your picture's code", edit: "Editing" };

export class EditView {
  constructor() {
    this.canvas = el("canvas", { class: "stage-canvas", id: "mask", tabIndex: 0, role: "application", "aria-label": "Mask on the picture. Arrow keys move a cursor, Space paints." });
    this.painter = new Painter(this.canvas);
    this.compare = new Compare();
    this.source = new SourcePanel();
    this.keepSoon = calmly(() => state.source && this.mask && keepPainting(state.source, this.mask), KEEP_AFTER_MS);
    this.tools = new ToolsPanel(this.painter, () => this.painted());
    this.changes = new ChangesPanel(() => this.refresh());
    this.run = new RunPanel();
    this.build();
    this.painter.addEventListener("stroke", () => this.painted());
    this.painter.addEventListener("hover", (event) => (this.under.textContent = this.partName(event.detail)));
    this.source.addEventListener("file", ({ detail }) => this.begin("invert", () => invertPicture(detail.file, detail.steps)));
    this.source.addEventListener("seed", ({ detail }) => this.begin("sample", () => drawSample(detail)));
    watch(["source"], () => this.opened());
    watch(["result"], () => this.showResult());
    this.listen();
    this.refresh();
  }

  build() {
    this.under = el("output", { class: "under" });
    const zoom = (factor) => this.painter.view.zoom(factor);
    this.zoomBar = el("div", { class: "row zoom" }, this.under,
      button("−", () => zoom(0.8), { class: "quiet", "aria-label": "Zoom out" }),
      button("Fit", () => this.painter.view.reset(), { class: "quiet", title: "Fit (0)" }),
      button("+", () => zoom(1.25), { class: "quiet", "aria-label": "Zoom in" }));
    this.tabs = ["mask", "result"].map((tab) => button(tab === "mask" ? "Mask" : "Result", () => this.turn(tab), { "data-tab": tab, "aria-pressed": "false" }));
    this.empty = el("div", { class: "empty" }, el("h1", {}, "Edit a picture by its parts"),
      el("p", {}, "Roll a sample, or choose, drop or paste a picture. Paint where its parts should be, and the picture follows."),
      el("div", { class: "row" }, button("Roll a sample", () => this.source.roll(), { class: "primary" }), button("Choose a picture …", () => this.source.file.click())));
    this.maskBox = el("div", { class: "mask-box", hidden: true }, el("div", { class: "stage-box" }, this.canvas), this.zoomBar);
    this.resultBox = el("div", { class: "result-box", hidden: true }, this.compare.box);
    this.bar = el("div", { class: "segmented tabs", role: "group", "aria-label": "What is shown", hidden: true }, this.tabs);
    this.steps = el("select", { "aria-label": "How many steps", id: "edit-steps" },
      ...[["60", "quick (60 steps)"], ["100", "good (100 steps)"], ["300", "careful (300 steps)"]].map(([value, word]) => el("option", { value, selected: value === "100" }, word)));
    this.go = button("Edit", () => this.edit(), { class: "primary wide", id: "edit", title: "Edit (Ctrl+Enter)" });
    this.goHint = el("p", { class: "hint" });
    this.goBox = el("section", { class: "panel go", "aria-label": "Edit", hidden: true }, this.steps, this.go, this.goHint);
    this.downloads = el("section", { class: "panel", "aria-label": "Result", hidden: true });
    this.box = el("div", { class: "edit-view" },
      el("aside", { class: "left" }, this.source.box, this.tools.box),
      el("section", { class: "stage", "aria-label": "Picture" }, this.bar, this.empty, this.maskBox, this.resultBox),
      el("aside", { class: "right" }, this.goBox, this.run.box, this.downloads, this.changes.box));
  }

  listen() {
    const here = () => this.box.isConnected && !this.box.hidden;
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (here() && files.length) this.source.take(files);
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      if (here() && event.dataTransfer.files.length) this.source.take([...event.dataTransfer.files]);
    });
    const key = (keys, shown, does, work) => ({ keys, shown, does, work });
    shortcuts("Edit", here, [
      ...TOOLS.map(([tool, name, letter]) => key([letter.toLowerCase()], [letter], name, () => this.tools.choose(tool))),
      key(["[", "]"].slice(0, 1), ["["], "Smaller brush", () => this.tools.resize(this.painter.diameter - 1)),
      key(["]"], ["]"], "Larger brush", () => this.tools.resize(this.painter.diameter + 1)),
      key(["ctrl+z"], ["Ctrl", "Z"], "Undo", () => this.tools.step("undo")),
      key(["ctrl+shift+z", "ctrl+y"], ["Ctrl", "Shift", "Z"], "Redo", () => this.tools.step("redo")),
      key(["+", "="], ["+"], "Zoom in", () => this.painter.view.zoom(1.25)),
      key(["-"], ["−"], "Zoom out", () => this.painter.view.zoom(0.8)),
      key(["0"], ["0"], "Fit the picture", () => this.painter.view.reset()),
      key(["r"], ["R"], "Roll a sample", () => this.source.roll()),
      key(["u"], ["U"], "Choose a picture", () => this.source.file.click()),
      key(["ctrl+enter"], ["Ctrl", "Enter"], "Edit", () => this.go.disabled || this.edit()),
      key(["s"], ["S"], "Stop, keep the best", () => this.run.busy && !this.run.stop.disabled && this.run.ask("stop")),
      key(["x"], ["X"], "Mask or result", () => state.result && this.turn(this.tab === "mask" ? "result" : "mask")),
    ]);
  }

  /** What was open before a reload. */
  async restore() {
    const [source, result, run] = ["source", "result", "run"].map(kept);
    if (source) await openSource(source.job).catch(() => set({ source: null }));
    if (state.source && result) set({ result });
    if (run) this.await_(run);
  }

  partName(id) {
    return id === null ? "" : state.model?.parts.find((part) => part.id === id)?.name ?? "";
  }

  painted() {
    this.keepSoon();
    this.refresh();
  }

  refresh() {
    const wanted = Boolean(this.mask?.changed || this.changes?.operations.length);
    this.go.disabled = !wanted || this.run.busy;
    this.goHint.textContent = wanted ? "" : "Paint the mask or change a part first.";
    this.goHint.hidden = wanted;
    this.source.box.classList.toggle("busy", this.run.busy);
  }

  /** Start work that makes what is edited; one at a time. */
  async begin(kind, start) {
    if (this.run.busy) return say("Something is running: cancel it first, or wait for it.", { bad: true });
    try {
      const job = await start();
      const run = { job: job.id, kind };
      set({ run });
      await this.await_(run);
    } catch (error) {
      this.run.fail(error.message);
    }
  }

  async await_({ job: id, kind }) {
    const running = this.run.start(id, TITLES[kind]);
    this.refresh();
    try {
      const job = await running;
      if (!job) return;
      set({ run: null });
      if (job.status === "succeeded" && kind === "edit") this.edited(job);
      else if (job.status === "succeeded") await openSource(id);
    } catch (error) {
      set({ run: null });
      this.run.fail(error.message);
    } finally {
      this.refresh();
    }
  }

  edit() {
    const { source, model } = state;
    return this.begin("edit", async () => {
      const aim = await aimOf(this.mask, this.changes.operations);
      return submit({ kind: "edit", model: model.name, inversion: source.job, steps: Number(this.steps.value), ...aim });
    });
  }

  edited(job) {
    const files = { before: "inverted.png", after: "edited.png", mask: "edited_mask.png" };
    const urls = Object.fromEntries(Object.entries(files).map(([role, name]) => [role, output(job.id, name)]));
    set({ result: { job: job.id, ...urls } });
    say("The edit is done.");
  }

  async opened() {
    const { source, model } = state;
    this.mask = null;
    for (const panel of [this.tools, this.changes]) panel.box.hidden = !source;
    this.goBox.hidden = !source;
    if (!source) return this.turn("mask");
    try {
      const [picture, found] = await Promise.all([loaded(source.picture), foundMask(source)]);
      const painted = await keptPainting(source, found.size);
      if (state.source !== source) return;
      this.mask = new Mask(found.size, found.values, painted);
      const colours = [];
      for (const part of model.parts) colours[part.id] = part.colour;
      this.tools.size.max = String(Math.max(8, Math.round(found.size / 4)));
      this.tools.show(model.parts);
      this.changes.show(model);
      this.changes.clear();
      this.empty.hidden = true;
      if (!state.result) this.turn("mask");
      this.painter.show(picture, this.mask, colours);
      this.tools.refresh();
    } catch (error) {
      say(error.message, { bad: true });
      set({ source: null });
    }
    this.refresh();
  }

  turn(tab) {
    this.tab = tab;
    for (const each of this.tabs) each.setAttribute("aria-pressed", String(each.dataset.tab === tab));
    this.maskBox.hidden = tab !== "mask" || !state.source;
    this.resultBox.hidden = tab !== "result" || !state.result;
    this.bar.hidden = !state.result;
    this.empty.hidden = Boolean(state.source);
  }

  async showResult() {
    const { result } = state;
    this.downloads.hidden = !result;
    this.turn(result ? "result" : "mask");
    if (!result) return;
    const save = (word, url, name) => el("a", { class: "button", href: url, download: name }, word);
    this.downloads.replaceChildren(el("h2", {}, "Result"),
      button("Go on from this picture", () => openSource(result.job).catch((error) => say(error.message, { bad: true })), { class: "wide", id: "go-on" }),
      el("div", { class: "row" }, save("Picture", result.after, "edited.png"), save("Mask", result.mask, "edited_mask.png"), save("Vector", output(result.job, "delta_w.safetensors"), "delta_w.safetensors")),
      button("Save the painted mask", () => this.saveMask(), { class: "quiet" }));
    await this.compare.show(result.before, result.after).catch((error) => (say(error.message, { bad: true }), set({ result: null })));
  }

  async saveMask() {
    const url = URL.createObjectURL(await encodeGrey(this.mask.values, this.mask.size, this.mask.size));
    el("a", { href: url, download: "mask.png" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}
