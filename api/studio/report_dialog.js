// A vector's transfer report: how the edit carries over to pictures that it was not learned on.

import { end, inFigures, measured, rangeOf, signed } from "./amounts.js";
import { chart } from "./chart.js";
import { button, el } from "./dom.js";

const [LEAST_DB, ENOUGH_DB] = [26, 29]; // what the rest keeps where a strength is recommended; where no refinement is
const KINDS = {
  growth: (name) => `how much the area of ${name} grows`,
  share: (name) => `how much of the picture ${name} takes up`,
  shift: (name) => `how far ${name} moves, over the picture's side`,
};

const known = Number.isFinite;
const percent = (share) => (known(share) ? `${signed(100 * share)} %` : "–");
const share = (value) => (known(value) ? `${value < 0 ? "−" : ""}${Math.abs(Math.round(100 * value))} %` : "–");
const fixed = (value, digits) => (known(value) ? value.toFixed(digits) : "–");

export function showReport(vector) {
  const { report } = vector;
  const dialog = el("dialog", { class: "report", "aria-label": `Report on ${vector.name}`, onclose: () => dialog.remove() },
    el("h2", {}, `${vector.name}: how it carries over`),
    inWords(vector).map((words) => el("p", {}, words)),
    el("div", { class: "charts" }, drawn(report)),
    tableOf(report),
    el("p", { class: "hint" }, "Medians over the samples; in brackets, what eight of ten samples lie between. Arrives: the change over that of the example it was learned from. Outside: of all that was not to change, against the picture before; PSNR and IoU are better the higher, LPIPS the lower."),
    button("Close", () => dialog.close(), { class: "primary" }));
  document.body.append(dialog);
  dialog.showModal();
  dialog.scrollTop = 0;
}

/** What the figures say, as sentences. */
export function inWords(vector) {
  const { report } = vector;
  return [tried(report), recommendation(vector), atOne(report), refinement(report)].filter(Boolean);
}

function tried({ samples, strengths, measure, by }) {
  const reach = `${end(strengths[0].strength)} to ${end(strengths.at(-1).strength)}`;
  const what = measure ? ` Measured was ${KINDS[measure.kind]?.(measure.name) ?? measured(measure)}, by the ${by}${by === "judge" ? ", which had no part in the learning" : ": the judge does not see the change"}.` : " It changes no part that could be measured.";
  return `It was tried on ${samples} fresh samples, at strengths from ${reach}.${what}`;
}

function recommendation(vector) {
  const { recommended: range, measure } = vector.report;
  if (!range) return `No strength is recommended: a stronger vector does no more, or the rest of the picture keeps less than ${LEAST_DB} dB.`;
  const slider = rangeOf(vector);
  const amounts = slider.unit === "amount" && measure ? `, which is ${measured(measure)} ${inFigures({ range: slider, value: slider.low })} to ${inFigures({ range: slider, value: slider.high })}` : "";
  return `Recommended: strength ${end(range[0])} to ${end(range[1])}${amounts}. There more strength does more, and the rest of the picture keeps ${LEAST_DB} dB or more.`;
}

const rowAt = (report, strength) => report.strengths.find((row) => row.strength === strength);

function atOne(report) {
  const row = rowAt(report, 1);
  if (!row || !known(row[`arrived_${report.by}`])) return null;
  const other = report.by === "judge" ? "segmenter" : "judge";
  const also = known(row[`arrived_${other}`]) ? ` (${share(row[`arrived_${other}`])} by the ${other})` : "";
  return `At strength 1, ${share(row[`arrived_${report.by}`])} of what the example shows arrives${also}.`;
}

function refinement(report) {
  const { refinement: gain, refinement_advised: advised } = report;
  const kept = rowAt(report, 1)?.psnr_outside_db;
  const why = known(kept) ? `: at strength 1 the rest keeps ${kept.toFixed(1)} dB, and ${ENOUGH_DB} dB is enough` : "";
  const more = gain && known(gain.gain_db) ? ` ${gain.steps} steps of it gained ${gain.gain_db.toFixed(1)} dB on ${gain.samples} samples.` : "";
  return `Refinement is ${advised ? "advised" : "not needed"}${why}.${more}`;
}

function drawn({ strengths, recommended: range, measure }) {
  const points = (low, middle, high) => strengths.filter((row) => known(row[middle])).map((row) => ({ x: row.strength, y: row[middle], low: row[low], high: row[high] }));
  const changes = points("change_p10", "change", "change_p90").map(({ x, y, low, high }) => ({ x, y: 100 * y, low: 100 * low, high: 100 * high }));
  const kept = points("psnr_outside_p10_db", "psnr_outside_db", "psnr_outside_db");
  return [
    measure && changes.length > 1 && chart(`Change, ${measured(measure)}, in %`, [...changes, { x: 0, y: 0 }], { range }),
    kept.length > 1 && chart("What the rest keeps, PSNR in dB", kept, { range, line: LEAST_DB }),
  ].filter(Boolean);
}

const COLUMNS = [
  ["Strength", (row) => end(row.strength)],
  ["Change", (row) => el("span", {}, percent(row.change), known(row.change_p10) && el("small", {}, ` (${percent(row.change_p10)} to ${percent(row.change_p90)})`))],
  ["Arrives, by judge", (row) => share(row.arrived_judge)],
  ["by segmenter", (row) => share(row.arrived_segmenter)],
  ["PSNR outside, dB", (row) => fixed(row.psnr_outside_db, 1)],
  ["LPIPS outside", (row) => fixed(row.lpips_outside, 3)],
  ["IoU outside, by judge", (row) => fixed(row.iou_outside_judge, 3)],
  ["by segmenter", (row) => fixed(row.iou_outside_segmenter, 3)],
];

function tableOf({ strengths, recommended: range }) {
  const inside = ({ strength }) => range && range[0] <= strength && strength <= range[1];
  return el("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Figures by strength" }, el("table", {},
    el("thead", {}, el("tr", {}, COLUMNS.map(([word]) => el("th", { scope: "col" }, word)))),
    el("tbody", {}, strengths.map((row) => el("tr", { class: inside(row) ? "recommended" : null }, COLUMNS.map(([, of], i) => (i ? el("td", {}, of(row)) : el("th", { scope: "row" }, of(row)))))))));
}
