// The edit view: get a picture, paint its mask, press Edit, look at what came of it.

import { submit } from "./api.js";
import { ChangesPanel } from "./changes_panel.js";
import { Compare, loaded } from "./compare.js";
import { chooseBox } from "./crop_dialog.js";
import { button, calmly, el, say } from "./dom.js";
import { HistoryPanel } from "./history_panel.js";
import { shortcuts } from "./keys.js";
import { Mask } from "./mask.js";
import { ModelCards } from "./model_cards.js";
import { Painter } from "./painter.js";
import { encodeGrey } from "./png.js";
import { copyLink, ResultPanel, saveAs } from "./result_panel.js";
import { RunPanel } from "./run_panel.js";
import { SourcePanel } from "./source_panel.js";
import { aimOf, drawSample, foundMask, invertPicture, keepPainting, keptPainting, openResult, openSource } from "./sources.js";
import { kept, modelKnown, set, state, watch } from "./store.js";
import { ToolsPanel, TOOLS } from "./tools_panel.js";

const KEEP_AFTER_MS = 400;
const TITLES = { sample: "Drawing a sample", invert: "Looking for your picture's code", edit: "Editing", learn: "Learning a vector" };
const TABS = { mask: "Mask", live: "Live", result: "Result" };

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
    this.history = new HistoryPanel();
    this.result = new ResultPanel({ learn: (start) => this.begin("learn", start), saveMask: () => this.saveMask() });
    this.build();
    this.run.addEventListener("preview", ({ detail }) => this.runs === state.model?.name && this.showLive(detail));
    this.run.addEventListener("over", () => this.showLive(null));
    this.painter.addEventListener("stroke", () => this.painted());
    this.painter.addEventListener("hover", (event) => (this.under.textContent = this.partName(event.detail)));
    this.source.addEventListener("file", ({ detail }) => this.beginOwn(detail));
    this.source.addEventListener("seed", ({ detail }) => this.begin("sample", () => drawSample(detail)));
    watch(["model"], () => this.otherModel());
    watch(["source"], () => this.opened());
    watch(["result"], () => this.showResult());
    watch(["source", "result"], () => this.address());
    this.listen();
    this.refresh();
  }

  build() {
    this.under = el("output", { class: "under" });
    const zoom = (factor) => this.painter.view.zoom(factor);
    this.zoomBar = el("div", { class: "row zoom" }, this.under,
      button("−", () => zoom(0.8), { class: "quiet", "aria-label": "Zoom out" }),
      button("Fit", () => this.painter.view.reset(), { class: "quiet", title: "Fit (0)" }),
      button("+", () => zoom(1.25), { class: "quiet", "aria-label": "Zoom in" }),
      button("Copy link", copyLink, { class: "quiet", title: "An address that opens this again" }));
    this.tabs = Object.entries(TABS).map(([tab, word]) => button(word, () => this.turn(tab), { "data-tab": tab, "aria-pressed": "false" }));
    this.live = el("img", { class: "live", alt: "The picture as it is now" });
    this.liveBox = el("div", { class: "live-box", hidden: true }, this.live);
    this.empty = el("div", { class: "empty" }, el("h1", {}, "Edit a picture by its parts"),
      el("p", {}, "Roll a sample, or choose, drop or paste a picture. Paint where its parts should be, and the picture follows."),
      new ModelCards().box,
      el("div", { class: "row" }, button("Roll a sample", () => this.source.roll(), { class: "primary" }), button("Choose a picture …", () => this.source.file.click())));
    this.maskBox = el("div", { class: "mask-box", hidden: true }, el("div", { class: "stage-box" }, this.canvas), this.zoomBar);
    this.resultBox = el("div", { class: "result-box", hidden: true }, this.compare.box);
    this.bar = el("div", { class: "segmented tabs", role: "group", "aria-label": "What is shown", hidden: true }, this.tabs);
    this.steps = el("select", { "aria-label": "How many steps", id: "edit-steps" },
      ...[["60", "quick (60 steps)"], ["100", "good (100 steps)"], ["300", "careful (300 steps)"]].map(([value, word]) => el("option", { value, selected: value === "100" }, word)));
    this.go = button("Edit", () => this.edit(), { class: "primary wide", id: "edit", title: "Edit (Ctrl+Enter)" });
    this.goHint = el("p", { class: "hint" });
    this.goBox = el("section", { class: "panel go", "aria-label": "Edit", hidden: true }, this.steps, this.go, this.goHint);
    this.box = el("div", { class: "edit-view" },
      el("aside", { class: "left" }, this.source.box, this.tools.box),
      el("section", { class: "stage", "aria-label": "Picture" }, this.bar, this.empty, this.maskBox, this.liveBox, this.resultBox),
      el("aside", { class: "right" }, this.goBox, this.run.box, this.result.box, this.changes.box, this.history.box));
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

  /** What the address names, or else what was open before a reload. */
  async restore() {
    const [source, result, run] = ["source", "result", "run"].map(kept);
    this.restored = true;
    if (this.wanted) await openSource(...this.wanted).catch((error) => say(error.message, { bad: true }));
    else if (source) await openSource(source.job, result?.job).catch(() => set({ source: null }));
    if (run) this.await_(run);
  }

  /** #/edit/<job of the picture>/<job of an edit of it> */
  async entered(source, result) {
    if (!this.restored) this.wanted = source && [source, result];
    else if (source && (source !== state.source?.job || (result && result !== state.result?.job))) await openSource(source, result);
    else this.address();
  }

  address() {
    if (this.box.hidden || !this.restored) return;
    const named = [state.source?.job, state.source && state.result?.job].filter(Boolean);
    history.replaceState(null, "", ["#/edit", ...named].join("/"));
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

  async beginOwn({ file, steps }) {
    if (this.run.busy) return say("Something is running: cancel it first, or wait for it.", { bad: true });
    const box = await chooseBox(file, state.model?.resolution_px ?? 1);
    if (box !== undefined) await this.begin("invert", () => invertPicture(file, steps, box));
  }

  /** Start work that makes what is edited; one at a time. */
  async begin(kind, start) {
    if (this.run.busy) return say("Something is running: cancel it first, or wait for it.", { bad: true });
    try {
      await modelKnown();
      const job = await start();
      const run = { job: job.id, kind };
      set({ run });
      await this.await_(run);
    } catch (error) {
      this.run.fail(error.message);
    }
  }

  async await_({ job: id, kind }) {
    this.runs = state.model?.name;
    const running = this.run.start(id, TITLES[kind]);
    this.refresh();
    try {
      const job = await running;
      if (!job) return;
      set({ run: null });
      if (job.status !== "succeeded") return;
      if (job.spec.model !== state.model?.name) return void say(`What you began with the model ${job.spec.model} is done: open it from the jobs.`);
      const from = job.spec.inversion;
      if (kind === "edit") await (from === state.source?.job ? openResult(id) : openSource(from, id));
      else if (kind === "learn") say(`“${job.spec.targets[0].name}” is in the library of vectors.`);
      else await openSource(id);
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
      return submit({ kind: "edit", model: model.name, inversion: source.job, steps: Number(this.steps.value), ...aim, ...(source.photo && { photo: {} }) });
    });
  }

  /** What was there of the model before says nothing of this one. */
  otherModel() {
    this.showLive(null);
    if (!this.run.busy) this.run.box.hidden = true;
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
    const there = { mask: state.source, live: this.live.hasAttribute("src"), result: state.result };
    for (const each of this.tabs) {
      each.hidden = !there[each.dataset.tab];
      each.setAttribute("aria-pressed", String(each.dataset.tab === tab));
    }
    this.maskBox.hidden = tab !== "mask" || !there.mask;
    this.liveBox.hidden = tab !== "live";
    this.resultBox.hidden = tab !== "result" || !there.result;
    this.bar.hidden = !(there.live || there.result);
    this.empty.hidden = Boolean(there.mask || there.live);
  }

  /** The picture on its way; null once there is none any more. */
  showLive(picture) {
    const first = !this.live.hasAttribute("src");
    if (picture) this.live.src = picture;
    else this.live.removeAttribute("src");
    if (picture && first) this.turn("live");
    else if (!picture && !first) this.turn(this.tab === "live" ? "mask" : this.tab);
  }

  async showResult() {
    const { result } = state;
    this.result.show(result);
    this.turn(result ? "result" : "mask");
    if (result) await this.compare.show(result.before, result.after).catch((error) => (say(error.message, { bad: true }), set({ result: null })));
  }

  async saveMask() {
    saveAs(await encodeGrey(this.mask.values, this.mask.size, this.mask.size), "mask.png");
  }
}
