// Which square of a photograph the model is to see: it is edited alone, and pasted back into the whole.

import { button, el } from "./dom.js";

const MOST_PX = 560;
const CLOSE = 8; // a square picture at most so many times as wide as the model's shows its thing whole

/** Resolves with { x, y, size } in the upright picture's pixels; null: its middle; undefined: the person leaves. */
export async function chooseBox(file, resolution) {
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null; // a kind that the browser does not show, or none: the service says which
  }
  const { width, height } = picture;
  const short = Math.min(width, height);
  if (short < 8 || (width === height && width <= CLOSE * resolution)) return null;
  return new Cropper(picture, { x: Math.floor((width - short) / 2), y: Math.floor((height - short) / 2), size: short }).asked();
}

class Cropper {
  constructor(picture, box) {
    Object.assign(this, { picture, box });
    this.short = box.size;
    this.scale = Math.min(1, MOST_PX / Math.max(picture.width, picture.height));
    this.canvas = el("canvas", { width: Math.round(picture.width * this.scale), height: Math.round(picture.height * this.scale), class: "crop", role: "img", "aria-label": "The picture, and the square of it that is edited" });
    const slider = (name, word, low) => el("label", { class: "field" }, word, (this[name] = el("input", { type: "range", min: String(low), "data-box": name, oninput: () => this.slid() })));
    this.dialog = el("dialog", { "aria-label": "What of the picture is edited" },
      el("div", { class: "form" }, el("h2", {}, "What of the picture is edited?"),
        el("p", { class: "hint" }, "The model sees a square. Put it around the thing to edit; the rest of the photograph stays as it is."),
        this.canvas, slider("size", "Size", Math.max(8, Math.round(this.short / 12))), slider("x", "From the left", 0), slider("y", "From the top", 0),
        el("div", { class: "row" }, button("Use this square", () => this.end(this.box), { class: "primary", id: "use-square" }), button("Leave", () => this.dialog.close()))));
    for (const name of ["pointerdown", "pointermove"]) this.canvas.addEventListener(name, (event) => event.buttons & 1 && this.dragged(event));
  }

  asked() {
    document.body.append(this.dialog);
    this.draw();
    this.dialog.showModal();
    return new Promise((resolve) => this.dialog.addEventListener("close", () => (this.dialog.remove(), resolve(this.chosen))));
  }

  end(box) {
    this.chosen = box;
    this.dialog.close();
  }

  slid() {
    const size = Number(this.size.value);
    const grown = size - this.box.size; // around its middle
    const moved = (name) => (grown ? this.box[name] - grown / 2 : Number(this[name].value));
    this.put(moved("x"), moved("y"), size);
  }

  dragged(event) {
    const shown = this.canvas.getBoundingClientRect();
    const at = (name, side, start) => ((event[name] - start) / shown[side]) * this.picture[side] - this.box.size / 2;
    this.put(at("clientX", "width", shown.left), at("clientY", "height", shown.top), this.box.size);
  }

  put(x, y, size) {
    const within = (start, side) => Math.max(0, Math.min(side - size, Math.round(start)));
    this.box = { x: within(x, this.picture.width), y: within(y, this.picture.height), size };
    this.draw();
  }

  draw() {
    const { x, y, size } = this.box;
    const most = { size: this.short, x: this.picture.width - size, y: this.picture.height - size };
    for (const name of ["size", "x", "y"]) {
      this[name].max = String(most[name]);
      this[name].value = String(this.box[name]);
      this[name].disabled = most[name] === 0;
    }
    const pen = this.canvas.getContext("2d");
    pen.drawImage(this.picture, 0, 0, this.canvas.width, this.canvas.height);
    pen.fillStyle = "#000a";
    pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const [left, top, side] = [x, y, size].map((n) => n * this.scale);
    pen.drawImage(this.picture, x, y, size, size, left, top, side, side);
    pen.lineWidth = 2;
    pen.strokeStyle = "#fff";
    pen.strokeRect(left + 1, top + 1, side - 2, side - 2);
  }
}
