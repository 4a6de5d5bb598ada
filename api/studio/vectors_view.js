// The vectors view: the library as cards, and sliders that change the current picture.

import { inFigures, rangeOf, recommended } from "./amounts.js";
import { get } from "./api.js";
import { Applying } from "./applying.js";
import { button, calmly, el, say } from "./dom.js";
import { show } from "./key.js";
import { shortcuts } from "./keys.js";
import { copyLink } from "./result_panel.js";
import { RunPanel } from "./run_panel.js";
import { drawSample, openSource } from "./sources.js";
import { modelKnown, state, watch } from "./store.js";

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
    watch(["model"], () => this.box.isConnected && this.load());
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
    this.search = el("input", { type: "search", placeholder: "Search names, types, tags", "aria-label": "Search vectors", oninput: calmly(() => this.load(), 250) });
    this.cards = el("div", { class: "cards" });
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
      el("aside", { class: "left" }, el("section", { class: "panel library", "aria-label": "Library" }, el("h2", {}, "Library"), this.search, this.cards)),
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
      if (!this.uses.has(id)) this.choose(await get(`/v1/vectors/${encodeURIComponent(id)}`));
      const { range, move } = this.uses.get(id);
      move(Math.min(range.high, Math.max(range.low, Number(value) || 0)));
    }
    this.moved();
  }

  address() {
    if (this.box.hidden || !state.source || this.wanted) return;
    const uses = [...this.uses.values()].map(({ vector, value }) => `${vector.id}=${value}`);
    history.replaceState(null, "", ["#/vectors", state.source.job, ...uses].join("/"));
  }

  async load() {
    if (!state.model) return;
    const query = new URLSearchParams({ model: state.model.name, limit: String(PAGE) });
    if (this.search.value.trim()) query.set("text", this.search.value.trim());
    const asked = (this.asked = query.toString());
    try {
      const page = await get(`/v1/vectors?${query}`);
      const vectors = await Promise.all(page.items.map((vector) => get(vector.url)));
      if (this.asked !== asked) return;
      this.cards.replaceChildren(...vectors.map((vector) => this.card(vector)));
      if (!vectors.length) this.cards.append(el("p", { class: "hint" }, this.search.value ? "Nothing is called so." : "This model has no vectors yet."));
    } catch (error) {
      if (this.asked === asked) this.cards.replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
    }
  }

  card(vector) {
    const image = (role) => vector.files[role] && el("img", { src: vector.files[role].url, alt: role, loading: "lazy" });
    const pictures = [image("before"), image("after")].filter(Boolean);
    const chosen = this.uses.has(vector.id);
    return el("button", { type: "button", class: "card", "aria-pressed": String(chosen), "data-vector": vector.id, onclick: () => this.toggle(vector) },
      pictures.length && el("span", { class: "before-after" }, pictures[0], el("span", { class: "arrow", "aria-hidden": "true" }, "→"), pictures[1]),
      el("strong", {}, vector.name),
      el("span", { class: "tags" }, vector.tags.map((tag) => el("span", { class: "tag" }, tag))),
      el("span", { class: "hint" }, recommended(vector)));
  }

  toggle(vector) {
    if (this.uses.has(vector.id)) this.drop(vector.id);
    else this.choose(vector);
    this.marked();
  }

  marked() {
    for (const card of this.cards.querySelectorAll(".card")) card.setAttribute("aria-pressed", String(this.uses.has(card.dataset.vector)));
    this.mix.querySelector("#mix-hint").hidden = this.uses.size > 0;
    const moved = [...this.uses.values()].some((use) => use.value !== 0);
    this.refine.disabled = !moved || !state.source;
    this.takeOver.disabled = !this.exact;
  }

  choose(vector) {
    const range = rangeOf(vector);
    const use = { vector, range, value: 0 };
    const figures = el("output", {}, inFigures(use));
    const slider = el("input", { type: "range", min: String(range.low), max: String(range.high), step: String(range.step), value: "0", "aria-label": `${vector.name}, ${range.unit === "amount" ? "percent" : "strength"}`, "data-vector": vector.id });
    use.move = (value) => {
      use.value = value;
      slider.value = String(value);
      figures.textContent = inFigures(use);
    };
    slider.addEventListener("input", () => (use.move(Number(slider.value)), this.moved()));
    slider.addEventListener("dblclick", () => (use.move(0), this.moved()));
    use.row = el("div", { class: "slider" }, el("div", { class: "row" }, el("span", { class: "grow" }, vector.name), figures,
      button("×", () => this.toggle(vector), { class: "quiet", "aria-label": `Take ${vector.name} out` })), slider,
      el("div", { class: "row ends" }, el("span", {}, String(range.low)), el("span", {}, range.unit === "amount" ? "%" : "strength"), el("span", {}, `+${range.high}`)));
    this.uses.set(vector.id, use);
    this.sliders.append(use.row);
    if (this.uses.size === 1) this.applying.prepare(use);
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

  show({ picture, mask, job, exact }) {
    show(this.picture, picture);
    show(this.mask, mask);
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

  /** Another picture: the sliders stay as they are, and work on it. */
  changed() {
    const { source } = state;
    this.empty.hidden = Boolean(source);
    this.pair.hidden = this.original.hidden = !source;
    this.save.hidden = true;
    for (const [id, use] of this.uses) if (use.vector.model !== state.model?.name) this.drop(id);
    if (source) return this.moved();
    this.applying.give_up();
    this.marked();
  }

  async roll() {
    if (this.run.busy) return;
    try {
      await modelKnown();
      const job = await drawSample(Math.floor(Math.random() * 1_000_000));
      const done = await this.run.start(job.id, "Drawing a sample");
      this.run.box.hidden = true;
      if (done?.status === "succeeded") await openSource(job.id);
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
