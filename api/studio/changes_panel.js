// Changes of the mask by button: the API's mask operations, done after what was painted.

import { button, el } from "./dom.js";

const MOST = 8;

export class ChangesPanel {
  constructor(onchange) {
    this.onchange = onchange;
    this.operations = [];
    this.part = el("select", { "aria-label": "Part to change", id: "change-part" });
    this.percent = el("input", { type: "number", min: "5", max: "200", step: "5", value: "25", "aria-label": "Percent", id: "change-percent" });
    const grow = (sign) => {
      const factor = 1 + (sign * this.share()) / 100;
      this.add({ op: "scale", part: this.part.value, factor: Number(Math.max(0.1, factor).toFixed(3)) }, `${this.part.value} ${sign > 0 ? "+" : "−"}${this.share()} %`);
    };
    const shift = (x, y, arrow) => {
      const px = Math.max(1, Math.round((this.size * this.share()) / 400));
      this.add({ op: "shift", part: this.part.value, dx_px: x * px, dy_px: y * px }, `${this.part.value} ${arrow} ${px} px`);
    };
    const arrows = [["←", -1, 0, "left"], ["→", 1, 0, "right"], ["↑", 0, -1, "up"], ["↓", 0, 1, "down"]];
    this.list = el("ul", { class: "chips", "aria-label": "Changes that will be made" });
    this.box = el("section", { class: "panel", "aria-label": "Change a part", hidden: true },
      el("h2", {}, "Or change a part"),
      el("div", { class: "row" }, el("span", { class: "grow" }, this.part), this.percent, el("span", { "aria-hidden": "true" }, "%")),
      el("div", { class: "row" },
        button("Shrink", () => grow(-1), { class: "grow" }), button("Grow", () => grow(1), { class: "grow" }),
        button("Remove", () => this.add({ op: "remove", part: this.part.value }, `${this.part.value} removed`), { class: "grow" })),
      el("div", { class: "row" }, arrows.map(([arrow, x, y, word]) => button(arrow, () => shift(x, y, arrow), { class: "grow", "aria-label": `Move ${word}`, title: `Move ${word}` }))),
      this.list);
  }

  share() {
    return Math.min(200, Math.max(1, Number(this.percent.value) || 25));
  }

  show(model) {
    this.box.hidden = false;
    this.size = model.resolution_px;
    if (this.model === model) return;
    this.model = model;
    const options = (names) => names.map((name) => el("option", { value: name }, name));
    this.part.replaceChildren(
      el("optgroup", { label: "Groups" }, options(Object.keys(model.groups))),
      el("optgroup", { label: "Parts" }, options(model.parts.map((part) => part.name))));
    this.clear();
  }

  add(operation, words) {
    if (this.operations.length >= MOST) return;
    this.operations.push(operation);
    const chip = el("li", {}, words, button("×", () => this.drop(operation, chip), { class: "quiet", "aria-label": `Take back: ${words}` }));
    this.list.append(chip);
    this.onchange();
  }

  drop(operation, chip) {
    this.operations = this.operations.filter((each) => each !== operation);
    chip.remove();
    this.onchange();
  }

  clear() {
    this.operations = [];
    this.list.replaceChildren();
    this.onchange();
  }
}
