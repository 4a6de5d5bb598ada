// A part mask that is being painted: values, what was found, and the way back. No page in here.

const MOST_SNAPSHOTS = 100;

export class Mask {
  /** found: Uint8Array of size x size part ids, row 0 on top; it is kept as the eraser's memory. */
  constructor(size, found, values = null) {
    this.size = size;
    this.found = found;
    this.values = values ?? found.slice();
    this.undone = [];
    this.done = [];
    this.before = null;
  }

  get changed() {
    return this.values.some((value, i) => value !== this.found[i]);
  }

  /** Part ids that lost or gained pixels, and those that gained. */
  differences() {
    const touched = new Set();
    const gained = new Set();
    this.values.forEach((value, i) => {
      if (value === this.found[i]) return;
      touched.add(value).add(this.found[i]);
      gained.add(value);
    });
    return { touched, gained };
  }

  begin() {
    this.before ??= this.values.slice();
  }

  /** Ends what begin began. Returns whether anything has changed. */
  commit() {
    const before = this.before;
    this.before = null;
    if (!before || before.every((value, i) => value === this.values[i])) return false;
    this.done.push(before);
    if (this.done.length > MOST_SNAPSHOTS) this.done.shift();
    this.undone = [];
    return true;
  }

  rollback() {
    if (this.before) this.values = this.before;
    this.before = null;
  }

  undo() {
    return this.step(this.done, this.undone);
  }

  redo() {
    return this.step(this.undone, this.done);
  }

  step(from, to) {
    const values = from.pop();
    if (!values) return false;
    to.push(this.values);
    this.values = values;
    return true;
  }

  reset() {
    this.begin();
    this.values = this.found.slice();
    return this.commit();
  }

  at(x, y) {
    return x >= 0 && y >= 0 && x < this.size && y < this.size ? this.values[y * this.size + x] : null;
  }

  /** value null gives back what was found. */
  put(index, value) {
    this.values[index] = value === null ? this.found[index] : value;
  }

  /** A stroke between two points, in pixels of the mask, as wide as a disc of this diameter. */
  stroke(from, to, diameter, value) {
    const length = Math.hypot(to.x - from.x, to.y - from.y);
    const steps = Math.max(1, Math.ceil(length * 2));
    for (let i = 0; i <= steps; i++) {
      const part = i / steps;
      this.dab(from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part, diameter, value);
    }
  }

  dab(x, y, diameter, value) {
    const radius = Math.max(diameter / 2, 0.5);
    const last = this.size - 1;
    for (let py = Math.max(0, Math.floor(y - radius)); py <= Math.min(last, y + radius); py++) {
      for (let px = Math.max(0, Math.floor(x - radius)); px <= Math.min(last, x + radius); px++) {
        const inside = (px + 0.5 - x) ** 2 + (py + 0.5 - y) ** 2 <= radius ** 2;
        if (inside || (Math.floor(x) === px && Math.floor(y) === py)) this.put(py * this.size + px, value);
      }
    }
  }

  /** The connected area of one part around a pixel (by sides) becomes another part. */
  fill(x, y, value) {
    const wanted = this.at(x, y);
    if (wanted === null || wanted === value) return;
    const { size } = this;
    const seen = new Uint8Array(size * size);
    const next = [y * size + x];
    while (next.length) {
      const index = next.pop();
      if (seen[index] || this.values[index] !== wanted) continue;
      seen[index] = 1;
      const column = index % size;
      if (column > 0) next.push(index - 1);
      if (column < size - 1) next.push(index + 1);
      if (index >= size) next.push(index - size);
      if (index < size * (size - 1)) next.push(index + size);
    }
    seen.forEach((inside, index) => inside && this.put(index, value));
  }

  /** Pixels whose centres lie inside, by the even-odd rule. points: [{ x, y }]. */
  polygon(points, value) {
    for (let y = 0; y < this.size; y++) {
      for (let x = 0; x < this.size; x++) {
        if (inside(points, x + 0.5, y + 0.5)) this.put(y * this.size + x, value);
      }
    }
  }
}

function inside(points, x, y) {
  let odd = false;
  points.forEach((a, i) => {
    const b = points[(i + points.length - 1) % points.length];
    if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) odd = !odd;
  });
  return odd;
}
