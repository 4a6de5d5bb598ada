// What came of an edit: gone on from, saved, learned as a vector, or reopened by a link.

import { bytes, get, output, submit } from "./api.js";
import { button, el, say } from "./dom.js";
import { askName } from "./learn_dialog.js";
import { openSource } from "./sources.js";
import { state } from "./store.js";
import { zip } from "./zip.js";

export class ResultPanel {
  /** learn: begins work of the kind "learn". saveMask: downloads what was painted. */
  constructor({ learn, saveMask }) {
    Object.assign(this, { learn, saveMask });
    this.box = el("section", { class: "panel", "aria-label": "Result", hidden: true });
  }

  show(result) {
    this.box.hidden = !result;
    if (!result) return;
    const link = (word, url, name) => el("a", { class: "button", href: url, download: name }, word);
    this.box.replaceChildren(...[el("h2", {}, "Result"),
      button("Go on from this picture", () => this.tried(openSource(result.job)), { class: "wide", id: "go-on" }),
      button("Save as a new vector …", () => this.asVector(result), { class: "wide", id: "learn", title: "Keep this change, to apply it to other pictures" }),
      result.pasted && el("figure", { class: "photograph" }, el("img", { src: result.pasted, alt: "The whole photograph with the edit" })),
      el("div", { class: "row" }, link("Picture", result.after, "edited.png"), result.pasted && link("Photograph", result.pasted, "photograph.png"),
        link("Mask", result.mask, "edited_mask.png"), link("Vector", output(result.job, "delta_w.safetensors"), "delta_w.safetensors")),
      el("div", { class: "row" }, button("Everything as a zip", () => this.tried(this.everything(result)), { id: "zip" }),
        button("Save the painted mask", () => this.saveMask(), { class: "quiet" }))].filter(Boolean));
  }

  async tried(work) {
    try {
      await work;
    } catch (error) {
      say(error.message, { bad: true });
    }
  }

  async asVector(result) {
    const asked = await askName();
    if (!asked) return;
    const target = { ...asked, after: { inversion: result.job } };
    this.learn(async () => {
      const { spec } = await get(`/v1/jobs/${result.job}`);
      return submit({ kind: "learn_vector", model: state.model.name, inversion: spec.inversion, targets: [target] });
    });
  }

  async everything(result) {
    const files = [];
    for (const [folder, id] of [["before", state.source?.job], ["after", result.job]]) {
      const job = id && (await get(`/v1/jobs/${id}`));
      for (const name of Object.keys(job?.outputs ?? {})) files.push([`${folder}/${name}`, await bytes(output(id, name))]);
    }
    saveAs(zip(files), `edit-${result.job.slice(0, 8)}.zip`);
  }
}

/** Have the browser keep a Blob as a file. */
export function saveAs(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** The address of what is shown now, to be sent or kept. */
export async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link is copied. It opens this picture again, as long as the service keeps it.");
  } catch {
    say(`This page's address opens it again: ${location.href}`);
  }
}
