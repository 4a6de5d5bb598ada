// Losses over steps as a small drawing. Each loss is on a scale of its own: what counts is how it falls.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [240, 64];
const MOST_POINTS = 400;
const SHOWN = 4;

export class Plot {
  constructor() {
    this.box = document.createElement("figure");
    this.box.className = "plot";
    this.drawing = document.createElementNS(SVG, "svg");
    this.drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.drawing.setAttribute("preserveAspectRatio", "none");
    this.drawing.setAttribute("role", "img");
    this.legend = document.createElement("figcaption");
    this.box.append(this.drawing, this.legend);
    this.clear();
  }

  clear() {
    this.series = new Map();
    this.total = 1;
    this.box.hidden = true;
    this.drawing.replaceChildren();
    this.legend.replaceChildren();
  }

  /** progress: { step, total, losses: { name: number } } of a job's worker. */
  add({ step, total, losses }) {
    if (!losses || !Number.isFinite(step)) return;
    this.total = total || step;
    for (const [name, value] of Object.entries(losses)) {
      if (!Number.isFinite(value)) continue;
      const points = this.series.get(name) ?? [];
      if (points.length && points.at(-1)[0] >= step) points.length = 0; // another attempt, or another phase
      points.push([step, value]);
      if (points.length > MOST_POINTS) points.splice(1, 1);
      this.series.set(name, points);
    }
    this.draw();
  }

  draw() {
    const shown = [...this.series].filter(([, points]) => points.some(([, value]) => value !== 0)).slice(0, SHOWN);
    this.box.hidden = shown.length === 0;
    this.drawing.replaceChildren(...shown.map(([, points], i) => this.line(points, i)));
    this.legend.replaceChildren(...shown.map(([name, points], i) => this.word(name, points, i)));
    this.drawing.setAttribute("aria-label", `Losses: ${shown.map(([name, points]) => `${name} ${short(points.at(-1)[1])}`).join(", ")}`);
  }

  line(points, i) {
    const values = points.map(([, value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const line = document.createElementNS(SVG, "polyline");
    const at = ([step, value]) => {
      const x = (step / this.total) * WIDTH;
      const y = HEIGHT - 3 - ((value - low) / (high - low || 1)) * (HEIGHT - 6);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    };
    line.setAttribute("points", points.map(at).join(" "));
    line.setAttribute("class", `line-${i}`);
    line.setAttribute("vector-effect", "non-scaling-stroke");
    return line;
  }

  word(name, points, i) {
    const word = document.createElement("span");
    word.className = `line-${i}`;
    word.textContent = `${name} ${short(points.at(-1)[1])}`;
    return word;
  }
}

const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
