// The canvas that a mask is painted on: draws picture and parts, and turns pointers and keys into strokes.

import { Viewport } from "./viewport.js";

const DOT_PX = 5;

export class Painter extends EventTarget {
  /** Tells "stroke" (the mask has changed), "picked" (detail: part id), "hover" (detail: part id or null). */
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.view = new Viewport(canvas, () => this.draw());
    this.layer = document.createElement("canvas");
    this.picture = null;
    this.mask = null;
    this.colours = [];
    Object.assign(this, { tool: "brush", part: 0, diameter: 3, opacity: 0.55 });
    Object.assign(this, { points: [], cursor: null, last: null, pointers: new Map(), keyboard: false });
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** picture: an image or null; colours: [r, g, b] by part id. */
  show(picture, mask, colours) {
    const another = this.mask?.size !== mask?.size || this.picture !== picture;
    Object.assign(this, { picture, mask, colours, points: [] });
    if (mask) this.layer.width = this.layer.height = mask.size;
    if (another) this.view.reset();
    this.draw();
  }

  listen() {
    const on = (name, work, options) => this.canvas.addEventListener(name, work, options);
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) on(name, (event) => this.up(event));
    on("pointerleave", () => this.hover(null));
    on("dblclick", () => this.closePolygon());
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("keydown", (event) => this.key(event));
    on("blur", () => ((this.keyboard = false), this.hover(null)));
  }

  down(event) {
    if (!this.mask) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.keyboard = false;
    if (this.pointers.size === 2) {
      this.mask.rollback(); // a second finger: it was no stroke
      this.last = null;
      this.draw();
      return;
    }
    const panning = event.button === 1 || event.button === 2 || this.tool === "pan";
    if (panning) return void (this.panning = true);
    this.use(this.view.toMask(event, this.mask.size), event);
  }

  use(at, event = null) {
    const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
    if (this.tool === "picker") {
      const part = this.mask.at(x, y);
      if (part !== null) this.dispatchEvent(new CustomEvent("picked", { detail: part }));
    } else if (this.tool === "polygon") {
      this.points.push(at);
      this.draw();
    } else if (this.tool === "fill") {
      this.mask.begin();
      this.mask.fill(x, y, this.part);
      this.end();
    } else {
      this.mask.begin();
      this.mask.stroke(at, at, this.width(event), this.value);
      this.last = at;
      this.draw();
    }
  }

  get value() {
    return this.tool === "eraser" ? null : this.part;
  }

  /** A pen paints as wide as it is pressed, from half to one and a half. */
  width(event) {
    return event?.pointerType === "pen" && event.pressure ? this.diameter * (0.5 + event.pressure) : this.diameter;
  }

  move(event) {
    if (!this.mask) return;
    const known = this.pointers.get(event.pointerId);
    if (known && this.pointers.size === 2) {
      const [one, other] = [...this.pointers.values()];
      const before = { ...one, far: Math.hypot(one.x - other.x, one.y - other.y), mid: { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 } };
      Object.assign(known, { x: event.clientX, y: event.clientY });
      this.view.pinch(before, one, other);
      return;
    }
    if (known && this.panning) {
      this.view.pan(event.clientX - known.x, event.clientY - known.y);
      Object.assign(known, { x: event.clientX, y: event.clientY });
      return;
    }
    if (known && this.last) {
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const each of passed.length ? passed : [event]) {
        const at = this.view.toMask(each, this.mask.size);
        this.mask.stroke(this.last, at, this.width(each), this.value);
        this.last = at;
      }
    }
    this.hover(this.view.toMask(event, this.mask.size));
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.pointers.size === 0) this.panning = false;
    if (this.last) this.end();
  }

  end() {
    this.last = null;
    const changed = this.mask.commit();
    this.draw();
    if (changed) this.dispatchEvent(new Event("stroke"));
  }

  wheel(event) {
    event.preventDefault();
    this.view.zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
  }

  hover(at) {
    this.cursor = at;
    const part = at && this.mask ? this.mask.at(Math.floor(at.x), Math.floor(at.y)) : null;
    this.dispatchEvent(new CustomEvent("hover", { detail: part }));
    this.draw();
  }

  /** Arrows move a cursor, Space uses the tool there; Enter closes a polygon, Escape leaves it. */
  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.mask || event.ctrlKey || event.metaKey || event.altKey) return;
    if (way) {
      const middle = this.mask.size / 2 + 0.5;
      const from = this.cursor ?? { x: middle, y: middle };
      const far = event.shiftKey ? 8 : 1;
      const within = (n) => Math.min(this.mask.size - 0.5, Math.max(0.5, Math.floor(n) + 0.5));
      this.keyboard = true;
      this.hover({ x: within(from.x + way[0] * far), y: within(from.y + way[1] * far) });
    } else if (event.key === " " && this.cursor) {
      this.use(this.cursor);
      if (this.last) this.end();
    } else if (event.key === "Enter" && this.points.length > 2) this.closePolygon();
    else if (event.key === "Escape" && this.points.length) this.leavePolygon();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  closePolygon() {
    if (this.tool !== "polygon" || this.points.length < 3) return;
    this.mask.begin();
    this.mask.polygon(this.points, this.part);
    this.points = [];
    this.end();
  }

  leavePolygon() {
    this.points = [];
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const pen = this.view.start();
    if (!this.mask) return;
    const side = this.view.side;
    pen.imageSmoothingQuality = "high";
    if (this.picture) pen.drawImage(this.picture, 0, 0, side, side);
    pen.imageSmoothingEnabled = false; // a part has an edge
    this.colourLayer();
    pen.globalAlpha = this.opacity;
    pen.drawImage(this.layer, 0, 0, side, side);
    pen.globalAlpha = 1;
    const scale = side / this.mask.size;
    if (this.points.length) this.paintPolygon(pen, scale);
    if (this.cursor && this.tool !== "pan") this.paintCursor(pen, scale);
  }

  colourLayer() {
    const pen = this.layer.getContext("2d");
    const pixels = pen.createImageData(this.mask.size, this.mask.size);
    const palette = new Uint32Array(new Uint8Array(256 * 4).fill(255).buffer);
    this.colours.forEach((colour, id) => new Uint8Array(palette.buffer).set(colour, id * 4));
    const words = new Uint32Array(pixels.data.buffer);
    this.mask.values.forEach((value, i) => (words[i] = palette[value]));
    pen.putImageData(pixels, 0, 0);
  }

  paintCursor(pen, scale) {
    const round = ["brush", "eraser"].includes(this.tool);
    const radius = (round ? Math.max(this.diameter, 1) / 2 : 0.5) * scale;
    for (const [colour, width] of [["#000c", 3], ["#fff", 1.5]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = (this.keyboard ? width * 1.5 : width) / this.view.scale;
      pen.beginPath();
      pen.arc(this.cursor.x * scale, this.cursor.y * scale, radius, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  paintPolygon(pen, scale) {
    pen.lineWidth = 2 / this.view.scale;
    pen.strokeStyle = pen.fillStyle = "#2f6df6";
    pen.beginPath();
    const corners = this.cursor ? [...this.points, this.cursor] : this.points;
    for (const { x, y } of corners) pen.lineTo(x * scale, y * scale);
    pen.closePath();
    pen.stroke();
    const dot = DOT_PX / this.view.scale;
    for (const { x, y } of this.points) pen.fillRect(x * scale - dot / 2, y * scale - dot / 2, dot, dot);
  }
}
