// How a segmenter is trained on annotations, and how well it then tells pictures that it has not seen.

import { el } from "./dom.js";

export class TrainPanel {
  constructor(ontrain) {
    this.called = el("input", { id: "train-name", required: true, pattern: "[a-z][a-z0-9_.\\-]{0,63}", autocomplete: "off", title: "small letters, digits, . _ -" });
    this.steps = el("select", { id: "train-steps" }, [["500", "a quick look (500 steps)"], ["2000", "good (2000 steps)"], ["6000", "careful (6000 steps)"]].map(([value, word]) => el("option", { value, selected: value === "2000" }, word)));
    this.go = el("button", { type: "submit", class: "primary wide", id: "train" }, "Train");
    this.words = el("p", { class: "hint", role: "status" });
    this.form = el("form", { class: "form", onsubmit: (event) => (event.preventDefault(), ontrain()) },
      el("h2", {}, "Train"), el("label", { class: "field" }, "Name of the new model", this.called), el("label", { class: "field" }, "How long", this.steps), this.go, this.words);
    this.box = el("section", { class: "panel", "aria-label": "Train" }, this.form);
    this.report = el("section", { class: "panel", "aria-label": "How well parts are told", hidden: true });
    this.ready(0, 0, false);
  }

  /** A name is proposed for what this model becomes, unless the person has given one. */
  name(model) {
    const before = this.proposed;
    this.proposed = model.name.startsWith("my-") ? model.name : `my-${model.name}`;
    if (!this.called.value || this.called.value === before) this.called.value = this.proposed;
  }

  get asked() {
    return { name: this.called.value.trim(), steps: Number(this.steps.value), folds: 4 };
  }

  ready(done, all, enough) {
    this.go.disabled = !enough;
    this.tell(all ? `${done} of ${all} masks are done${enough ? "" : ": two at least"}.` : "Suggest pictures first.");
  }

  tell(words) {
    this.words.textContent = words;
  }

  /** job: an ended train_segmenter job; url: of one of its outputs. */
  show(job, url) {
    const { miou, iou = {}, held_out: held, new_model: name } = job.result;
    const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);
    const compared = Object.keys(job.outputs).filter((file) => file.startsWith("predicted_")).map((file) => {
      const number = file.slice(-7, -4);
      const image = (kind, word) => el("img", { src: url(`${kind}_${number}.png`), alt: `Picture ${Number(number)}: ${word}`, class: kind === "picture" ? null : "pixels" });
      return el("div", { class: "triple" }, image("picture", "the picture"), image("mask", "your mask"), image("predicted", "what was predicted"));
    });
    this.report.hidden = false;
    this.report.replaceChildren(el("h2", {}, miou === null ? "Trained" : `mIoU ${percent(miou)}`),
      el("p", { class: "hint" }, miou === null ? "Nothing was held out to measure on." : `On ${held} pictures that were held out: how far what was predicted and what you painted overlap.`),
      el("dl", { class: "counts", id: "ious" }, Object.entries(iou).map(([part, share]) => el("div", {}, el("dt", {}, part), el("dd", {}, percent(share))))),
      el("p", {}, "The model ", el("strong", {}, name), " is in the list above."),
      el("details", {}, el("summary", {}, "Picture, your mask, prediction"), el("div", { class: "triples" }, compared)));
  }
}
