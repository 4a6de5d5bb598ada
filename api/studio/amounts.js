// From strengths to amounts of change and back, by a vector's transfer report; as the service does it.

/** How a slider of this vector goes: { unit, low, high, step, strengths: [low, high] }. */
export function rangeOf(vector) {
  const table = tableOf(vector);
  const [low, high] = vector.report?.recommended ?? [-2, 2];
  const changes = table.map(([, change]) => change);
  if (!changes.some(Boolean)) return { unit: "strength", low, high, step: 0.05, strengths: [low, high] };
  const ends = [low, high].map((strength) => changeAt(table, strength) * 100);
  const [least, most] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  return { unit: "amount", low: Math.ceil(least), high: Math.floor(most), step: 1, strengths: [low, high] };
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

export function inFigures({ range, value }) {
  const sign = value > 0 ? "+" : value < 0 ? "−" : "";
  return range.unit === "amount" ? `${sign}${Math.abs(value)} %` : `${sign}${Math.abs(value).toFixed(2)}`;
}

/** What a report says, in a line. */
export function recommended(vector) {
  const range = vector.report?.recommended && rangeOf(vector);
  if (!range) return "no report: try strengths";
  if (range.unit === "strength") return `recommended strength ${range.low} to ${range.high}`;
  const { kind, name } = vector.report.measure;
  return `${name} ${kind === "growth" ? "area" : kind} ${range.low} to +${range.high} %`;
}
