// The vectors view: the library as cards, and sliders that change the current picture.

import { end, inFigures, rangeOf } from "./amounts.js";
import { get } from "./api.js";
import { Applying } from "./applying.js";
import { button, calmly, el, say } from "./dom.js";
import { importVector } from "./import_dialog.js";
import { show } from "./key.js";
import { shortcuts } from "./keys.js";
import { copyLink } from "./result_panel.js";
import { RunPanel } from "./run_panel.js";
import { drawSample, openSource } from "./sources.js";
import { fits, modelKnown, state, watch } from "./store.js";
import { vectorCard } from "./vector_card.js";

const REFINE_STEPS = 30;
const PAGE = 30;

export class VectorsView {
  constructor() {
    this.uses = new Map(); // vector id -> { vector, range, value, row }
    this.applying = new Applying();
    this.run = new RunPanel();
    this.build();
    this.applying.addEventListener("shown", ({ detail }) => this.show(detail));
    this.applying.addEventListener("busy", ({ detail }) => ((this.busy.textContent = detail ?? ""), (this.pair.ariaBusy = String(Boolean(detail)))));
    this.applying.addEventListener("trouble", ({ detail }) => say(detail, { bad: true }));
    watch(["source"], () => this.changed());
    watch(["model"], () => this.otherModel());
    const here = () => this.box.isConnected && !this.box.hidden;
    const key = (name, shown, does, work) => ({ keys: [name], shown: [shown], does, work });
    shortcuts("Vectors", here, [
      key("r", "R", "Roll a sample", () => this.roll()),
      key("/", "/", "Search", () => this.search.focus()),
      key("0", "0", "All sliders to nothing", () => this.clear()),
    ]);
    this.changed();
  }

  build() {
    this.search = el("input", { type: "search", placeholder: "Name, type or tag", "aria-label": "Search vectors", oninput: calmly(() => this.load(), 250) });
    this.cards = el("div", { class: "cards" });
    this.more = el("p", { class: "hint", hidden: true }, `The newest ${PAGE} are shown: search for the others.`);
    this.picture = el("img", { alt: "The picture with the vectors applied", id: "vector-picture" });
    this.mask = el("img", { class: "pixels", alt: "Its mask", id: "vector-mask" });
    this.original = button("Hold to see the original", () => null, { class: "quiet" });
    for (const name of ["pointerdown", "keydown"]) this.original.addEventListener(name, () => this.hold(true));
    for (const name of ["pointerup", "pointerleave", "keyup", "blur"]) this.original.addEventListener(name, () => this.hold(false));
    this.pair = el("div", { class: "pair", hidden: true }, el("figure", {}, this.picture), el("figure", {}, this.mask));
    this.empty = el("div", { class: "empty" }, el("h1", {}, "Change a picture by what was learned before"),
      el("p", {}, "Roll a sample, or invert a picture of your own in the edit view. Then choose vectors."),
      button("Roll a sample", () => this.roll(), { class: "primary" }));
    this.busy = el("output", { class: "busy-words" });
    this.sliders = el("div", { class: "sliders" });
    this.refine = button("Refine", () => this.applying.apply({ mode: "refinement", refine_steps: REFINE_STEPS }), { id: "refine", title: `${REFINE_STEPS} steps of optimisation, so that less of the rest changes` });
    this.takeOver = button("Edit this picture", () => this.toEditor(), { id: "to-editor" });
    this.mix = el("section", { class: "panel", "aria-label": "Chosen vectors" }, el("h2", {}, "Vectors applied"),
      this.sliders, el("p", { class: "hint", id: "mix-hint" }, "Choose vectors from the library."),
      el("div", { class: "row" }, this.refine, this.takeOver, button("Clear", () => this.clear()), button("Copy link", copyLink, { class: "quiet" })), this.save = el("a", { class: "button", download: "picture.png", hidden: true }, "Download the picture"));
    this.box = el("div", { class: "edit-view vectors-view" },
      el("aside", { class: "left" }, el("section", { class: "panel library", "aria-label": "Library" }, 
        el("div", { class: "library-top" }, el("div", { class: "row" }, el("h2", { class: "grow" }, "Library"), button("Import …", () => this.import(), { class: "quiet", id: "import", title: "Take a vector's file into the library" })), this.search),
        this.cards, this.more)),
      el("section", { class: "stage", "aria-label": "Picture" }, this.empty, this.pair, el("div", { class: "row under-pair" }, this.original, this.busy)),
      el("aside", { class: "right" }, this.mix, this.run.box));
  }

  /** #/vectors/<job of the picture>/<vector>=<value>/... */
  async entered(source, ...uses) {
    this.wanted = source && { source, uses };
    await this.ready();
  }

  /** Once the models are known: what the address names, or what is open. */
  async ready() {
    if (!state.model) return;
    await this.load();
    const { wanted } = this;
    this.wanted = null;
    if (!wanted) return this.address();
    if (wanted.source !== state.source?.job) await openSource(wanted.source);
    for (const [id, value] of wanted.uses.map((use) => use.split("="))) {
      if (!this.uses.has(id) && !this.choose(await get(`/v1/vectors/${encodeURIComponent(id)}`))) continue;
      const { range, move } = this.uses.get(id);
      move(Math.min(range.high, Math.max(range.low, Number(value) || 0)));
    }
    this.moved();
  }

  address() {
    if (this.box.hidden || this.wanted || !state.model) return;
    const uses = [...this.uses.values()].map(({ vector, value }) => `${vector.id}=${value}`);
    history.replaceState(null, "", ["#/vectors", ...(state.source ? [state.source.job, ...uses] : [])].join("/"));
  }

  /** Vectors of all models with this one's generator, newest first. */
  async load() {
    const { model, models } = state;
    if (!model) return;
    const text = this.search.value.trim();
    const asked = (this.asked = `${model.name} ${text}`);
    const kin = models.filter((each) => each.files.generator?.sha256 === model.files.generator?.sha256);
    try {
      const pages = await Promise.all(kin.map(({ name }) => get(`/v1/vectors?${new URLSearchParams({ model: name, limit: String(PAGE), ...(text && { text }) })}`)));
      const newest = pages.flatMap((page) => page.items).filter((vector) => fits(vector, model)).toSorted((one, other) => other.created_at.localeCompare(one.created_at)).slice(0, PAGE);
      const vectors = await Promise.all(newest.map((vector) => get(vector.url)));
      if (this.asked !== asked) return;
      this.cards.replaceChildren(...vectors.map((vector) => vectorCard(vector, this.uses.has(vector.id), () => this.toggle(vector))));
      this.more.hidden = !pages.some((page) => page.next_cursor);
      if (!vectors.length) this.cards.append(el("p", { class: "hint" }, text ? "Nothing is called so." : "This model has no vectors yet: save one from an edit, or import a file."));
    } catch (error) {
      if (this.asked === asked) this.cards.replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
    }
  }

  async import() {
    const made = state.model && (await importVector());
    if (!made) return;
    this.search.value = "";
    await this.load();
    say(`“${made.name}” is in the library.`);
  }

  toggle(vector) {
    if (this.uses.has(vector.id)) this.drop(vector.id);
    else this.choose(vector);
    this.marked();
  }

  marked() {
    for (const card of this.cards.querySelectorAll(".choose")) card.setAttribute("aria-pressed", String(this.uses.has(card.dataset.vector)));
    this.mix.querySelector("#mix-hint").hidden = this.uses.size > 0;
    const moved = [...this.uses.values()].some((use) => use.value !== 0);
    this.refine.disabled = !moved || !state.source;
    this.takeOver.disabled = !this.exact;
  }

  /** Returns whether it can be: a vector of another generator is refused in words. */
  choose(vector) {
    if (!fits(vector)) {
      say(`“${vector.name}” was learned on the model ${vector.model}: on ${state.model.name} its numbers mean something else.`, { bad: true });
      return false;
    }
    const range = rangeOf(vector);
    const use = { vector, range, value: 0 };
    const figures = el("output", {}, inFigures(use));
    const slider = el("input", { type: "range", min: String(range.low), max: String(range.high), step: String(range.step), value: "0", "aria-label": `${vector.name}, ${range.unit === "amount" ? "percent" : "strength"}`, "data-vector": vector.id });
    use.move = (value) => {
      use.value = Number(value.toFixed(range.digits));
      slider.value = String(value);
      figures.textContent = inFigures(use);
    };
    slider.addEventListener("input", () => (use.move(Number(slider.value)), this.moved()));
    slider.addEventListener("dblclick", () => (use.move(0), this.moved()));
    use.row = el("div", { class: "slider" }, el("div", { class: "row" }, el("span", { class: "grow" }, vector.name), figures,
      button("×", () => this.toggle(vector), { class: "quiet", "aria-label": `Take ${vector.name} out` })), slider, endsOf(range));
    this.uses.set(vector.id, use);
    this.sliders.append(use.row);
    if (this.uses.size === 1) this.applying.prepare(use);
    return true;
  }

  drop(id) {
    this.uses.get(id).row.remove();
    this.uses.delete(id);
    this.moved();
  }

  clear() {
    for (const use of this.uses.values()) use.move(0);
    this.moved();
  }

  moved() {
    this.exact = null;
    this.picture.dataset.exact = "false"; // until what is asked for now is shown
    const uses = [...this.uses.values()];
    const moving = uses.filter((use) => use.value !== 0);
    if (moving.length === 1) this.applying.prepare(moving[0]);
    this.applying.moved(uses);
    this.marked();
    this.address();
  }

  show({ picture, mask = this.now?.mask, job, exact }) {
    show(this.picture, picture);
    if (mask) show(this.mask, mask);
    this.now = { picture, mask };
    this.picture.dataset.exact = String(exact);
    this.exact = job;
    this.save.href = picture;
    this.save.hidden = !exact;
    this.marked();
  }

  hold(original) {
    if (!state.source || !this.now) return;
    show(this.picture, original ? state.source.picture : this.now.picture);
    show(this.mask, original ? state.source.mask : this.now.mask);
  }

  /** Another model: the sliders of vectors that are not its own go. */
  otherModel() {
    for (const [id, use] of this.uses) {
      if (fits(use.vector)) continue;
      use.row.remove();
      this.uses.delete(id);
    }
    this.cards.replaceChildren();
    if (!this.run.busy) this.run.box.hidden = true;
    this.marked();
    this.load();
  }

  /** Another picture: the sliders stay as they are, and work on it. */
  changed() {
    const { source } = state;
    this.empty.hidden = Boolean(source);
    this.pair.hidden = this.original.hidden = !source;
    this.save.hidden = true;
    if (source) return this.moved();
    this.applying.give_up();
    this.exact = null;
    this.marked();
    this.address();
  }

  async roll() {
    if (this.run.busy) return;
    try {
      await modelKnown();
      const { model } = state;
      const job = await drawSample(Math.floor(Math.random() * 1_000_000));
      const done = await this.run.start(job.id, "Drawing a sample");
      this.run.box.hidden = true;
      if (done?.status === "succeeded" && model === state.model) await openSource(job.id);
    } catch (error) {
      this.run.fail(error.message);
    }
  }

  async toEditor() {
    try {
      await openSource(this.exact);
      this.clear();
      location.hash = "#/edit";
    } catch (error) {
      say(error.message, { bad: true });
    }
  }
}

/** What stands under a slider: its ends, and where nothing is. */
function endsOf({ low, high }) {
  const nothing = -low / (high - low);
  const zero = nothing > 0.15 && nothing < 0.85 && el("span", { class: "zero", "aria-hidden": "true" }, "0");
  const box = el("div", { class: "ends" }, el("span", {}, end(low)), zero, el("span", {}, end(high)));
  box.style.setProperty("--nothing", nothing.toFixed(3));
  return box;
}
