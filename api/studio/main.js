// The page: which view is shown, which model is worked with, and what happens when something goes wrong.

import { get } from "./api.js";
import { AnnotateView } from "./annotate_view.js";
import { BatchesView } from "./batches_view.js";
import { el, say } from "./dom.js";
import { EditView } from "./edit_view.js";
import { JobsView } from "./jobs_view.js";
import { shortcuts, showShortcuts } from "./keys.js";
import { chooseModel, keep, kept, set, state, watch } from "./store.js";
import { VectorsView } from "./vectors_view.js";

const main = document.getElementById("main");
const choice = document.getElementById("model");
const views = { edit: new EditView(), vectors: new VectorsView(), annotate: new AnnotateView(), jobs: new JobsView(), batches: new BatchesView() };
let shown = null;

for (const view of Object.values(views)) {
  view.box.hidden = true;
  main.append(view.box);
}

function route() {
  const [name, ...ids] = location.hash.replace(/^#\//, "").split("/");
  const view = views[name] ?? views.edit;
  shown?.leave?.();
  for (const each of Object.values(views)) each.box.hidden = each !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (views[link.dataset.view] === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown = view;
  view.entered?.(...ids)?.catch?.((error) => say(error.message, { bad: true }));
}

async function loadModels() {
  const { items } = await get("/v1/models");
  const models = items.filter((model) => model.parts.length > 0);
  const wanted = kept("model") ?? "cars";
  const found = models.find((each) => each.name === wanted) ?? models[0] ?? null;
  const model = found && found.digest === state.model?.digest && found.name === state.model.name ? state.model : found;
  choice.replaceChildren(...models.map((each) => el("option", { value: each.name }, `${each.name} (${each.resolution_px} px)`)));
  set({ models, model });
  choice.value = model?.name ?? "";
  if (!model) say("There is no model to edit with yet.", { bad: true });
}

choice.addEventListener("change", () => chooseModel(state.models.find((model) => model.name === choice.value)));
watch(["model"], ({ model }) => {
  if (!model) return;
  choice.value = model.name;
  keep("model", model.name);
});
watch(["away"], ({ away }) => (document.getElementById("away").hidden = !away));
watch(["updated"], ({ updated }) => (document.getElementById("updated").hidden = !updated));
document.querySelector("#updated a").addEventListener("click", (event) => (event.preventDefault(), location.reload()));

const go = (number, name, word) => ({ keys: [number], shown: [number], does: word, work: () => (location.hash = `#/${name}`) });
shortcuts("Everywhere", () => true, [
  go("1", "edit", "Edit"), go("2", "vectors", "Vectors"), go("3", "annotate", "Annotate"), go("4", "jobs", "Jobs"), go("5", "batches", "Batches"),
  { keys: ["?"], shown: ["?"], does: "This list", work: showShortcuts },
]);
document.getElementById("help").addEventListener("click", showShortcuts);
addEventListener("hashchange", route);
addEventListener("models", loadModels); // a training has left one
addEventListener("error", () => say("Something went wrong in this page. If it stays so, reload: what you painted is kept.", { bad: true }));
addEventListener("unhandledrejection", (event) => say(event.reason?.message ?? "Something went wrong.", { bad: true }));

route();
for (;;) {
  try {
    await loadModels();
    break;
  } catch (error) {
    say(error.message, { bad: true });
    await new Promise((resume) => setTimeout(resume, 2000));
  }
}
await views.edit.restore();
if (shown === views.vectors) views.vectors.ready();
