// How a vector is to be called that is learned from an edit.

import { button, el } from "./dom.js";

const NAME = { required: true, maxLength: 80, autocomplete: "off" };

/** Resolves with { name, tags }, or null where the person leaves. */
export function askName() {
  const name = el("input", { id: "vector-name", ...NAME });
  const tags = el("input", { id: "vector-tags", autocomplete: "off", placeholder: "separated by commas" });
  const dialog = el("dialog", { "aria-label": "Save as a new vector" });
  const form = el("form", { class: "form" }, el("h2", {}, "Save as a new vector"),
    el("p", { class: "hint" }, "What this edit changed is kept in the library, with a report on how it carries over to other pictures."),
    el("label", { class: "field" }, "Name", name), el("label", { class: "field" }, "Tags", tags),
    el("div", { class: "row" }, button("Save", null, { type: "submit", class: "primary" }), button("Leave", () => dialog.close())));
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    let asked = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      asked = { name: name.value.trim(), tags: tags.value.split(",").map((tag) => tag.trim()).filter(Boolean) };
      if (asked.name) dialog.close();
    });
    dialog.addEventListener("close", () => (dialog.remove(), resolve(asked)));
  });
}
