// The tree of what was done to the picture: each step can be gone back to, and another way taken from there.

import { button, el, say } from "./dom.js";
import { changes, forget, treeOf } from "./history.js";
import { openSource } from "./sources.js";
import { state, watch } from "./store.js";

export class HistoryPanel {
  constructor() {
    this.tree = el("div", { class: "tree" });
    this.box = el("section", { class: "panel", "aria-label": "History", hidden: true }, el("h2", {}, "History"), this.tree);
    changes.addEventListener("change", () => this.draw());
    watch(["source", "result"], () => this.draw());
  }

  draw() {
    const tree = state.source && treeOf(state.source.job);
    this.box.hidden = !tree?.children.length;
    if (tree) this.tree.replaceChildren(el("ul", {}, this.branch(tree)));
  }

  branch({ node, children }) {
    const here = node.job === state.source.job;
    const go = button([el("img", { src: node.picture, alt: "", loading: "lazy" }), el("span", {}, node.name)], () => this.back(node), { class: "quiet step", "data-job": node.job, "aria-current": here ? "step" : null, title: here ? "What is edited now" : "Go on from here" });
    return el("li", {}, go, children.length > 0 && el("ul", {}, children.map((child) => this.branch(child))));
  }

  async back(node) {
    try {
      await openSource(node.job);
    } catch (error) {
      forget(node.job);
      say(error.message, { bad: true });
    }
  }
}
