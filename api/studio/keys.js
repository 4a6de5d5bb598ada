// Keyboard shortcuts: one list, which the help shows and the page obeys.

import { button, el } from "./dom.js";

const groups = []; // { title, keys: [{ keys: ["b"], shown, does, work }], active() }

/** Shortcuts that hold while active() does. keys: as KeyboardEvent.key says, lower case, "ctrl+" before. */
export function shortcuts(title, active, keys) {
  groups.push({ title, active, keys });
}

function named(event) {
  const control = event.ctrlKey || event.metaKey ? "ctrl+" : "";
  const shift = event.shiftKey && control ? "shift+" : "";
  return control + shift + event.key.toLowerCase();
}

function typing(target) {
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !["range", "checkbox", "button", "radio"].includes(target.type));
}

document.addEventListener("keydown", (event) => {
  const name = named(event);
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  if (typing(event.target) && !name.startsWith("ctrl+enter")) return;
  for (const group of groups) {
    if (!group.active()) continue;
    const found = group.keys.find((each) => each.keys.includes(name));
    if (!found) continue;
    event.preventDefault();
    found.work();
    return;
  }
});

export function showShortcuts() {
  const dialog = document.getElementById("shortcuts");
  const sections = groups.toSorted((one, other) => other.active() - one.active()).map((group) =>
    el("section", {}, el("h3", {}, group.title),
      el("dl", {}, group.keys.map((each) => [
        el("dt", {}, each.shown.map((key) => el("kbd", {}, key))),
        el("dd", {}, each.does),
      ]))),
  );
  const close = button("Close", () => dialog.close(), { class: "primary" });
  dialog.replaceChildren(el("h2", {}, "Keyboard shortcuts"), el("div", { class: "shortcut-groups" }, sections), close);
  dialog.showModal();
  dialog.scrollTop = 0;
}
