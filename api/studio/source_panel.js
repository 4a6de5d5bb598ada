// Where a picture comes from: a file, the clipboard, or a sample of the model.

import { button, el } from "./dom.js";

const MOST_SEED = 2 ** 31;

export class SourcePanel extends EventTarget {
  /** Tells "file" (detail: { file, steps }) and "seed" (detail: a number). */
  constructor() {
    super();
    this.file = el("input", { type: "file", accept: "image/*", class: "unseen", id: "file", "aria-label": "Picture file", onchange: () => this.take([...this.file.files]) });
    this.steps = el("select", { id: "steps", "aria-label": "How carefully to look for the picture's code" },
      el("option", { value: "100" }, "quick, 100 steps"),
      el("option", { value: "300", selected: true }, "good, 300 steps"),
      el("option", { value: "1000" }, "careful, 1000 steps"));
    this.seed = el("input", { type: "number", min: "0", max: String(MOST_SEED), value: "1", "aria-label": "Seed", id: "seed" });
    const draw = el("form", { class: "row", onsubmit: (event) => (event.preventDefault(), this.draw()) },
      el("label", { class: "grow" }, "Seed ", this.seed), el("button", { type: "submit" }, "Draw"));
    this.box = el("section", { class: "panel", "aria-label": "Picture" },
      el("h2", {}, "Picture"),
      el("div", { class: "row halves" },
        button("Roll sample", () => this.roll(), { id: "roll", title: "Roll a sample (R)" }),
        button("Your own …", () => this.file.click(), { title: "Choose a picture (U); or drop or paste one" }), this.file),
      draw,
      el("label", { class: "field inline" }, "Your own ", this.steps));
  }

  take(files) {
    const file = files.find((each) => each.type.startsWith("image/")) ?? files[0];
    this.file.value = "";
    if (file) this.dispatchEvent(new CustomEvent("file", { detail: { file, steps: Number(this.steps.value) } }));
  }

  roll() {
    this.seed.value = String(Math.floor(Math.random() * 1_000_000));
    this.draw();
  }

  draw() {
    const seed = Math.max(0, Math.floor(Number(this.seed.value)) || 0);
    this.dispatchEvent(new CustomEvent("seed", { detail: seed }));
  }
}
