// Where a square picture lies on its canvas: zoomed and moved, and sharp on every screen.

const MOST = 24;

export class Viewport {
  constructor(canvas, onchange) {
    Object.assign(this, { canvas, onchange, scale: 1, x: 0, y: 0, side: 1 });
  }

  reset() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.onchange();
  }

  get origin() {
    const { clientWidth, clientHeight } = this.canvas;
    return { x: (clientWidth - this.side) / 2 + this.x, y: (clientHeight - this.side) / 2 + this.y };
  }

  /** A cleared context in which the picture goes from 0,0 to side,side. */
  start() {
    const { canvas } = this;
    const dots = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * dots)) canvas.width = Math.round(width * dots);
    if (canvas.height !== Math.round(height * dots)) canvas.height = Math.round(height * dots);
    this.side = Math.max(1, Math.min(width, height));
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const { x, y } = this.origin;
    pen.setTransform(dots * this.scale, 0, 0, dots * this.scale, dots * x, dots * y);
    return pen;
  }

  /** Where a pointer is, in pixels of a mask of this size. */
  toMask(event, size) {
    const box = this.canvas.getBoundingClientRect();
    const { x, y } = this.origin;
    const each = size / this.side / this.scale;
    return { x: (event.clientX - box.left - x) * each, y: (event.clientY - box.top - y) * each };
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.onchange();
  }

  /** By a factor; what is under the point (of the window; by default the middle) stays there. */
  zoom(factor, clientX = null, clientY = null) {
    const box = this.canvas.getBoundingClientRect();
    const at = { x: (clientX ?? box.left + box.width / 2) - box.left, y: (clientY ?? box.top + box.height / 2) - box.top };
    const next = Math.min(MOST, Math.max(0.5, this.scale * factor));
    const { x, y } = this.origin;
    this.x += (at.x - x) * (1 - next / this.scale);
    this.y += (at.y - y) * (1 - next / this.scale);
    this.scale = next;
    this.onchange();
  }

  /** Two fingers have moved: before holds their distance and middle. */
  pinch(before, one, other) {
    const middle = { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
    this.pan(middle.x - before.mid.x, middle.y - before.mid.y);
    this.zoom(Math.hypot(one.x - other.x, one.y - other.y) / Math.max(1, before.far), middle.x, middle.y);
  }
}
