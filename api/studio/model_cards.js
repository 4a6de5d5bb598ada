// Which model to begin with, by what each draws: shown where there is a choice.

import { el } from "./dom.js";
import { chooseModel, state, watch } from "./store.js";

export class ModelCards {
  constructor() {
    this.box = el("div", { class: "model-cards", role: "group", "aria-label": "Models", hidden: true });
    watch(["models"], ({ models }) => this.draw(models));
    watch(["model"], () => this.mark());
  }

  draw(models) {
    this.box.hidden = models.length < 2;
    this.box.replaceChildren(...models.map((model) => this.card(model)));
    this.mark();
  }

  card(model) {
    const { name, resolution_px: size, files, parts } = model;
    return el("button", { type: "button", class: "card model-card", "data-model": name, onclick: () => chooseModel(model) },
      files.preview && el("span", { class: "preview" }, el("img", { src: `/v1/models/${name}/preview`, alt: "" })),
      el("strong", {}, name), el("span", { class: "hint" }, `${size} px, ${parts.length} parts`));
  }

  mark() {
    for (const card of this.box.children) card.setAttribute("aria-pressed", String(card.dataset.model === state.model?.name));
  }
}
