// From strengths to amounts of change and back, by a vector's transfer report; as the service does it.

const UNKNOWN = [-2, 2]; // strengths to try where nothing was measured
const FINER = [[20, 1, 0], [2, 0.1, 1], [0, 0.01, 2]]; // from so many percent in all on: step, digits

/** How a slider of this vector goes: { unit, low, high, step, digits, strengths: [low, high] }. */
export function rangeOf(vector) {
  const table = tableOf(vector);
  const changes = table.map(([, change]) => change);
  const tried = table.length ? [table[0][0], table.at(-1)[0]] : UNKNOWN;
  const [low, high] = vector.report?.recommended ?? tried;
  const strengths = [low, high];
  if (!changes.some(Boolean)) return { unit: "strength", low, high, step: 0.01, digits: 2, strengths };
  const ends = strengths.map((strength) => changeAt(table, strength) * 100);
  const [least, most] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const [, step, digits] = FINER.find(([span]) => most - least >= span);
  const whole = (value, round) => Number((round(Number((value / step).toFixed(6))) * step).toFixed(digits));
  return { unit: "amount", low: whole(least, Math.ceil), high: whole(most, Math.floor), step, digits, strengths };
}

const tableOf = (vector) => vector.report?.table ?? [];

function changeAt(table, strength) {
  for (let i = 1; i < table.length; i++) {
    const [[first, before], [last, after]] = [table[i - 1], table[i]];
    if (first <= strength && strength <= last) return before + ((after - before) * (strength - first)) / (last - first);
  }
  return strength < table[0][0] ? table[0][1] : table.at(-1)[1];
}

/** The strength nearest to 0 at which the report measured this change in percent; null where it measured none. */
export function strengthFor(vector, percent) {
  const wanted = percent / 100;
  const table = tableOf(vector);
  let best = null;
  for (let i = 1; i < table.length; i++) {
    const [[first, before], [last, after]] = [table[i - 1], table[i]];
    if (wanted < Math.min(before, after) || wanted > Math.max(before, after)) continue;
    const found = before === after ? first : first + ((last - first) * (wanted - before)) / (after - before);
    if (best === null || Math.abs(found) < Math.abs(best)) best = found;
  }
  return best;
}

/** What the sliders ask for, as a member of a spec. */
export function useOf({ vector, range, value }) {
  if (range.unit === "strength") return { vector: vector.id, strength: value };
  return { vector: vector.id, amount: `${value > 0 ? "+" : ""}${value} %` };
}

/** A number with its sign, and with the minus that is one. */
export function signed(value, digits = 0) {
  const figures = Math.abs(value).toFixed(digits);
  return `${Number(figures) === 0 ? "" : value > 0 ? "+" : "−"}${figures}`;
}

/** An end of a range: without digits that say nothing. */
export const end = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value)}`;

export const inFigures = ({ range, value }) => signed(value, range.digits) + (range.unit === "amount" ? " %" : "");

const WHAT = { growth: "area", share: "share", shift: "place" };

/** What a report measures, in two words: wheel area. */
export const measured = ({ kind, name }) => `${name} ${WHAT[kind] ?? kind}`;

/** What a report says, in a line. */
export function recommended(vector) {
  if (!vector.report?.strengths && !tableOf(vector).length) return "no report: try strengths";
  if (!vector.report.recommended) return "no strength is recommended";
  const range = rangeOf(vector);
  const ends = `${end(range.low)} to ${end(range.high)}`;
  return range.unit === "strength" ? `strength ${ends}` : `${measured(vector.report.measure)} ${ends} %`;
}
