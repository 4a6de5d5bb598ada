// A vector's file taken into the library: the numbers, and where there is one what a .json beside them says.

import { sendVector } from "./api.js";
import { button, el } from "./dom.js";
import { state } from "./store.js";

const listed = (words) => words.split(",").map((word) => word.trim()).filter(Boolean);
const called = (file) => file.name.replace(/\.[^.]*$/, "");

/** Resolves with the vector, or null where the person leaves. */
export function importVector() {
  return new Import().asked();
}

class Import {
  constructor() {
    const { model } = state;
    this.model = model;
    this.file = el("input", { type: "file", id: "import-file", accept: ".safetensors,.npy,.json", multiple: true, required: true, onchange: () => this.chosen() });
    this.name = el("input", { id: "import-name", required: true, maxLength: 120, autocomplete: "off" });
    this.type = el("input", { id: "import-type", maxLength: 80, autocomplete: "off", placeholder: "wheel grows" });
    this.tags = el("input", { id: "import-tags", autocomplete: "off", placeholder: "separated by commas" });
    this.parts = el("input", { id: "import-parts", autocomplete: "off", placeholder: model.parts.slice(1, 3).map((part) => part.name).join(", ") });
    this.problem = el("p", { class: "problem", role: "alert", hidden: true });
    this.send = el("button", { type: "submit", class: "primary" }, "Import");
    const field = (word, input) => el("label", { class: "field" }, word, input);
    const form = el("form", { class: "form", onsubmit: (event) => (event.preventDefault(), this.submit()) },
      el("h2", {}, `Import a vector for ${model.name}`),
      el("p", { class: "hint" }, "A .safetensors file with delta_w, as Export writes it, or a .npy file. A .json of the same name, as editq vectors export writes it, may be chosen with it and fills in the rest."),
      field("File", this.file), field("Name", this.name), field("What it does", this.type), field("Tags", this.tags), field("Parts that it is about", this.parts),
      this.problem, el("div", { class: "row" }, this.send, button("Leave", () => this.dialog.close())));
    this.dialog = el("dialog", { "aria-label": "Import a vector" }, form);
  }

  asked() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    return new Promise((resolve) => this.dialog.addEventListener("close", () => (this.dialog.remove(), resolve(this.made ?? null))));
  }

  tell(words) {
    this.problem.textContent = words;
    this.problem.hidden = !words;
  }

  /** Fill in what the files tell. What says that it is another model's is refused before it is sent. */
  async chosen() {
    this.tell("");
    const [about, numbers] = [(file) => file.name.endsWith(".json"), (file) => !file.name.endsWith(".json")].map((kind) => [...this.file.files].find(kind));
    this.numbers = numbers ?? null;
    if (!numbers) return this.tell("Choose the .safetensors or .npy file too: it holds the numbers.");
    const told = about ? await about.text().then(JSON.parse).catch(() => null) : {};
    if (!told || typeof told !== "object") return this.tell(`${about.name} does not say what a vector is.`);
    this.elsewhere = typeof told.model === "string" && told.model !== this.model.name ? told.model : null;
    if (this.elsewhere) this.tell(this.refusal());
    this.name.value = String(told.name ?? called(numbers));
    this.type.value = String(told.editing_type ?? "");
    for (const [input, words] of [[this.tags, told.tags], [this.parts, told.q_edit]]) input.value = Array.isArray(words) ? words.join(", ") : "";
  }

  refusal() {
    return `This vector was learned on the model ${this.elsewhere}: on ${this.model.name} its numbers mean something else. Choose ${this.elsewhere} above, and import it there.`;
  }

  async submit() {
    if (!this.numbers || this.elsewhere) return this.elsewhere && this.tell(this.refusal());
    this.send.disabled = true;
    try {
      const about = { model: this.model.name, name: this.name.value.trim(), editing_type: this.type.value.trim(), tags: listed(this.tags.value), q_edit: listed(this.parts.value) };
      this.made = await sendVector(this.numbers, about);
      this.dialog.close();
    } catch (error) {
      this.tell(error.message);
    } finally {
      this.send.disabled = false;
    }
  }
}
