// Tools and parts to paint with.

import { button, el } from "./dom.js";

export const TOOLS = [
  ["brush", "Brush", "B"],
  ["eraser", "Eraser", "E"],
  ["fill", "Fill", "F"],
  ["polygon", "Polygon", "P"],
  ["picker", "Picker", "I"],
  ["pan", "Move", "H"],
];
const HINTS = {
  brush: "Paint with the chosen part.",
  eraser: "Gives back the mask that was found.",
  fill: "Fills a connected area.",
  polygon: "Click corners; double click or Enter closes, Escape leaves.",
  picker: "Takes the part under the pointer.",
  pan: "Drag to move. Wheel or two fingers zoom.",
};

let panels = 0; // each has radio buttons of its own

export class ToolsPanel {
  constructor(painter, onchange) {
    this.number = panels += 1;
    this.painter = painter;
    this.onchange = onchange;
    this.tools = TOOLS.map(([tool, name, key]) =>
      button(name, () => this.choose(tool), { "data-tool": tool, title: `${name} (${key})`, "aria-pressed": "false" }));
    this.size = el("input", { type: "range", min: "1", max: "24", value: "3", id: `brush-size-${panels}`, oninput: () => this.resize(Number(this.size.value)) });
    this.sized = el("output", { for: `brush-size-${panels}` });
    this.opacity = el("input", { type: "range", min: "0", max: "100", value: "55", oninput: () => ((painter.opacity = this.opacity.value / 100), painter.draw()) });
    this.undo = button("Undo", () => this.step("undo"), { title: "Undo (Ctrl+Z)" });
    this.redo = button("Redo", () => this.step("redo"), { title: "Redo (Ctrl+Shift+Z)" });
    this.reset = button("Reset", () => this.step("reset"), { title: "Back to the mask that was found" });
    this.hint = el("p", { class: "hint" });
    this.palette = el("div", { class: "palette", role: "radiogroup", "aria-label": "Part to paint with" });
    this.box = el("section", { class: "panel tools", "aria-label": "Painting", hidden: true },
      el("h2", {}, "Paint the mask"),
      el("div", { class: "toolbar", role: "group", "aria-label": "Tools" }, this.tools), this.hint,
      el("div", { class: "row halves" },
        el("label", { class: "field" }, el("span", {}, "Size ", this.sized), this.size),
        el("label", { class: "field", title: "How much of the mask is seen over the picture" }, "Opacity", this.opacity)),
      el("div", { class: "row" }, this.undo, this.redo, this.reset),
      this.palette);
    this.choose("brush");
    this.resize(3);
    painter.addEventListener("picked", (event) => (this.take(event.detail), this.choose("brush")));
    painter.addEventListener("stroke", () => this.refresh());
  }

  choose(tool) {
    this.painter.tool = tool;
    this.painter.leavePolygon();
    this.painter.canvas.dataset.tool = tool;
    for (const each of this.tools) each.setAttribute("aria-pressed", String(each.dataset.tool === tool));
    this.hint.textContent = HINTS[tool];
  }

  resize(diameter) {
    this.painter.diameter = Math.min(Number(this.size.max), Math.max(1, diameter));
    this.size.value = String(this.painter.diameter);
    this.sized.textContent = `${this.painter.diameter} px`;
    this.painter.draw();
  }

  step(what) {
    if (this.painter.mask?.[what]()) this.onchange();
    this.painter.draw();
    this.refresh();
  }

  refresh() {
    const { mask } = this.painter;
    this.undo.disabled = !mask?.done.length;
    this.redo.disabled = !mask?.undone.length;
    this.reset.disabled = !mask?.changed;
  }

  /** The parts of a model, as a radio group: arrows move in it. */
  show(parts) {
    this.box.hidden = false;
    this.refresh();
    if (this.parts === parts) return;
    this.parts = parts;
    this.palette.replaceChildren(...parts.map((part) => {
      const colour = el("span", { class: "swatch" });
      colour.style.background = `rgb(${part.colour.join(" ")})`;
      const radio = el("input", { type: "radio", name: `part-${this.number}`, value: String(part.id), class: "unseen", onchange: () => this.take(part.id) });
      return el("label", { class: "part", title: part.name }, radio, colour, el("span", {}, part.name));
    }));
    const wheel = parts.find((part) => part.name === "tyre") ?? parts[0];
    this.take(wheel.id);
  }

  take(id) {
    this.painter.part = id;
    const radio = this.palette.querySelector(`input[value="${id}"]`);
    if (radio) radio.checked = true;
  }
}
