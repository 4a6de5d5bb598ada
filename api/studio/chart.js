// Some measured points over strength, joined, with what most samples lie between: small, and to scale.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [320, 170, 38, 10, 10, 22];

/** points: { x, y, low, high }. range: the x that are recommended, shaded. line: a y to be kept to. */
export function chart(title, points, { range = null, line = null } = {}) {
  const sorted = points.toSorted((one, other) => one.x - other.x);
  const ys = sorted.flatMap(({ y, low, high }) => [y, low, high]).concat(line ?? []).filter(Number.isFinite);
  const x = scale(sorted.map((point) => point.x), LEFT, WIDTH - RIGHT);
  const y = scale(ys, HEIGHT - BOTTOM, TOP);
  const level = (value, kind) => draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: kind });
  const box = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${sorted.map((point) => `${figure(point.y)} at ${figure(point.x)}`).join(", ")}` });
  if (range) box.append(draw("rect", { x: x(range[0]), y: TOP, width: x(range[1]) - x(range[0]), height: HEIGHT - TOP - BOTTOM, class: "shade" }));
  for (const value of ticks(Math.min(...ys), Math.max(...ys))) box.append(level(value, "grid"), text(figure(value), LEFT - 5, y(value) + 4, "end"));
  for (const { x: strength } of sorted) box.append(text(figure(strength), x(strength), HEIGHT - 6, "middle"));
  if (line !== null) box.append(level(line, "least"));
  for (const point of sorted.filter(({ low, high }) => Number.isFinite(low) && low !== high)) {
    box.append(draw("line", { x1: x(point.x), x2: x(point.x), y1: y(point.low), y2: y(point.high), class: "spread" }));
  }
  box.append(draw("polyline", { points: sorted.map((point) => `${x(point.x)},${y(point.y)}`).join(" ") }));
  for (const point of sorted) box.append(draw("circle", { cx: x(point.x), cy: y(point.y), r: 3 }));
  const figureBox = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = title;
  figureBox.className = "chart";
  figureBox.append(caption, box);
  return figureBox;
}

function scale(values, from, to) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return (value) => Number((from + ((value - low) / (high - low || 1)) * (to - from)).toFixed(1));
}

/** Some round values between low and high. */
function ticks(low, high) {
  const rough = (high - low || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function draw(name, given) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, String(value));
  return made;
}

function text(words, x, y, anchor) {
  const made = draw("text", { x, y, "text-anchor": anchor });
  made.textContent = words;
  return made;
}

const figure = (value) => String(Number(value.toFixed(2))).replace("-", "−");
