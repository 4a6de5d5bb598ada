// The API key that this tab works with, where the service wants one: sent in a header with every request, never
// in a URL, and forgotten with the tab.

import { button, el } from "./dom.js";

const NAME = "editq.key";
let entering = null;

const held = () => sessionStorage.getItem(NAME);
const ours = (url) => url.startsWith("/v1/");

/** fetch, with the key. Where the service wants one, or another, the person is asked for it. */
export async function ask(path, request = {}) {
  for (;;) {
    const key = held();
    const bearer = key ? { Authorization: `Bearer ${key}` } : {};
    const answer = await fetch(path, { ...request, headers: { ...request.headers, ...bearer } });
    if (answer.status !== 401) return answer;
    const problem = await answer.json().catch(() => ({}));
    if (held() === key) await (entering ??= enter(key ? problem.detail : ""));
  }
}

/** One of the service's files, in memory: { url, said }. Whoever asks for it revokes the URL. */
export async function blobOf(url) {
  const answer = await ask(url);
  if (!answer.ok) throw new Error(`The service answered ${answer.status}.`);
  return { url: URL.createObjectURL(await answer.blob()), said: answer.headers.get("Content-Disposition") ?? "" };
}

/** Show one of the service's pictures in an <img>. It can send no key: its bytes are fetched for it then. */
export async function show(image, url) {
  image.dataset.shows = url;
  if (!held() || !ours(url)) return void (image.src = url);
  try {
    const found = await blobOf(url);
    const free = () => URL.revokeObjectURL(found.url);
    if (image.dataset.shows !== url) return free();
    for (const end of ["load", "error"]) image.addEventListener(end, free, { once: true });
    image.src = found.url;
  } catch {
    image.src = url; // which tells the page that it cannot be had
  }
}

/** A link that saves one of the service's files can send no key either. */
document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[download]");
  const url = link?.getAttribute("href") ?? "";
  if (!held() || !ours(url)) return;
  event.preventDefault();
  const found = await blobOf(url);
  const name = link.download || /filename="?([^";]+)/.exec(found.said)?.[1] || url.split("/").pop();
  el("a", { href: found.url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(found.url), 60_000);
});

/** A dialog that ends once a key was entered. What is wrong with it the next answer says. */
function enter(wrong) {
  const input = el("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", placeholder: "editq_…" });
  const form = el("form", {},
    el("h2", {}, "This service asks for a key"),
    el("p", {}, wrong || "Whoever runs it can give you one. It is kept in this tab alone, until the tab is closed."),
    el("label", {}, "API key ", input), " ", button("Use it", null, { class: "primary", type: "submit" }));
  const dialog = el("dialog", { id: "key-dialog", "aria-label": "API key" }, form);
  document.body.append(dialog);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!input.value.trim()) return;
      sessionStorage.setItem(NAME, input.value.trim());
      dialog.remove();
      entering = null;
      offerToForget();
      resolve();
    });
  });
}

function offerToForget() {
  if (!held() || document.getElementById("forget-key")) return;
  const forget = () => (sessionStorage.removeItem(NAME), location.reload());
  document.getElementById("help").before(button("Forget key", forget, { id: "forget-key", class: "quiet" }));
}

offerToForget();
