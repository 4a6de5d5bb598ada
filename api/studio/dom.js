// Elements made by name. Text is always text: nothing from outside is parsed as HTML.

import { show } from "./key.js";

/** el("button", { class: "primary", onclick }, "Edit"): an element with properties, listeners and children. */
export function el(name, given = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else if (name === "img" && key === "src") show(made, value);
    else if (key in made && typeof value !== "string" && !key.startsWith("aria")) made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function button(content, onclick, given = {}) {
  return el("button", { type: "button", onclick, ...given }, content);
}

/** A short word at the foot of the page, read aloud by screen readers. */
export function say(text, { bad = false } = {}) {
  const toast = el("p", { class: bad ? "toast bad" : "toast" }, text);
  const close = button("×", () => toast.remove(), { class: "quiet", "aria-label": "Close" });
  toast.append(close);
  const toasts = document.getElementById("toasts");
  while (toasts.children.length > 2) toasts.firstChild.remove();
  toasts.append(toast);
  setTimeout(() => toast.remove(), bad ? 15000 : 5000);
}

export function ago(iso) {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(iso).toLocaleDateString();
}

export function lasting(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** Runs the last call only, once it has been quiet for so long. */
export function calmly(work, after_ms) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), after_ms);
  };
}
