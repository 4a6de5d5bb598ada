// A vector of the library as a card: what it does, to be chosen; its report and its file.

import { recommended } from "./amounts.js";
import { button, el } from "./dom.js";
import { showReport } from "./report_dialog.js";

/** chosen: whether it is applied now. toggle: chooses it, or takes it out. */
export function vectorCard(vector, chosen, toggle) {
  const image = (role) => vector.files[role] && el("img", { src: vector.files[role].url, alt: role, loading: "lazy" });
  const pictures = [image("before"), image("after")].filter(Boolean);
  const choose = el("button", { type: "button", class: "choose", "aria-pressed": String(chosen), "data-vector": vector.id, onclick: toggle },
    pictures.length > 1 && el("span", { class: "before-after" }, pictures[0], el("span", { class: "arrow", "aria-hidden": "true" }, "→"), pictures[1]),
    el("strong", {}, vector.name),
    vector.tags.length > 0 && el("span", { class: "tags" }, vector.tags.map((tag) => el("span", { class: "tag" }, tag))),
    el("span", { class: "hint" }, recommended(vector)));
  return el("article", { class: "card", "aria-label": vector.name }, choose,
    el("div", { class: "row" },
      vector.report?.strengths && button("Report", () => showReport(vector), { class: "quiet", "aria-haspopup": "dialog", "aria-label": `Report on ${vector.name}` }),
      el("a", { class: "button quiet", href: vector.content_url, download: `${vector.name}.safetensors`, "aria-label": `Export ${vector.name} as a file` }, "Export")));
}
