// Two pictures compared: side by side under a divider that is dragged, in turn, or as their difference.

import { button, el } from "./dom.js";
import { show } from "./key.js";

const BLINK_MS = 600;
const GAIN = 4;

export const loaded = (url) =>
  new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("The picture could not be loaded."));
    show(image, url);
  });

export class Compare {
  constructor() {
    this.canvas = el("canvas", { class: "stage-canvas", role: "img", "aria-label": "Before and after" });
    this.slider = el("input", { type: "range", min: "0", max: "100", value: "50", class: "divider", "aria-label": "Divider between before and after", oninput: () => this.draw() });
    this.modes = ["split", "before", "after", "blink", "difference"].map((mode) =>
      button(mode[0].toUpperCase() + mode.slice(1), () => this.choose(mode), { "data-mode": mode, "aria-pressed": "false" }),
    );
    this.bar = el("div", { class: "segmented", role: "group", "aria-label": "Way of comparing" }, this.modes);
    this.box = el("div", { class: "compare" }, el("div", { class: "stage-box" }, this.canvas), this.slider, this.bar);
    const drag = (event) => {
      if (this.mode !== "split" || !(event.buttons & 1)) return;
      const box = this.canvas.getBoundingClientRect();
      const side = Math.min(box.width, box.height);
      this.slider.value = String(((event.clientX - box.left - (box.width - side) / 2) / side) * 100);
      this.draw();
    };
    this.canvas.addEventListener("pointerdown", (event) => (this.canvas.setPointerCapture(event.pointerId), drag(event)));
    this.canvas.addEventListener("pointermove", drag);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.choose("split");
  }

  async show(before, after) {
    [this.before, this.after] = await Promise.all([loaded(before), loaded(after)]);
    this.difference = differenceOf(this.before, this.after);
    this.draw();
  }

  choose(mode) {
    this.mode = mode;
    for (const each of this.modes) each.setAttribute("aria-pressed", String(each.dataset.mode === mode));
    this.slider.disabled = mode !== "split";
    clearInterval(this.timer);
    this.turn = false;
    if (mode === "blink") this.timer = setInterval(() => ((this.turn = !this.turn), this.draw()), BLINK_MS);
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const dots = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!this.after || !width) return;
    [canvas.width, canvas.height] = [Math.round(width * dots), Math.round(height * dots)];
    const side = Math.min(width, height);
    const pen = canvas.getContext("2d");
    pen.setTransform(dots, 0, 0, dots, (dots * (width - side)) / 2, (dots * (height - side)) / 2);
    pen.imageSmoothingQuality = "high";
    const whole = { split: this.before, before: this.before, after: this.after, blink: this.turn ? this.after : this.before, difference: this.difference }[this.mode];
    pen.drawImage(whole, 0, 0, side, side);
    const words = { split: ["before", "after"], blink: [this.turn ? "after" : "before"], difference: [`difference × ${GAIN}`] }[this.mode] ?? [this.mode];
    if (this.mode === "split") this.drawSplit(pen, side);
    label(pen, words[0], 10, "left");
    if (words[1]) label(pen, words[1], side - 10, "right");
  }

  drawSplit(pen, side) {
    const at = (side * Number(this.slider.value)) / 100;
    pen.save();
    pen.beginPath();
    pen.rect(at, 0, side - at, side);
    pen.clip();
    pen.drawImage(this.after, 0, 0, side, side);
    pen.restore();
    pen.fillStyle = "#fff";
    pen.fillRect(at - 1.5, 0, 3, side);
    pen.beginPath();
    pen.arc(at, side / 2, 13, 0, 2 * Math.PI);
    pen.fill();
    pen.fillStyle = "#223";
    pen.font = "bold 15px system-ui";
    pen.textAlign = "center";
    pen.fillText("↔", at, side / 2 + 5);
  }
}

function label(pen, text, x, align) {
  pen.font = "600 13px system-ui";
  pen.textAlign = "left";
  const width = pen.measureText(text).width + 14;
  const left = align === "right" ? x - width : x;
  pen.fillStyle = "#000a";
  pen.beginPath();
  pen.roundRect(left, 10, width, 24, 6);
  pen.fill();
  pen.fillStyle = "#fff";
  pen.fillText(text, left + 7, 27);
}

/** What differs, a few times as strong, on black. */
function differenceOf(before, after) {
  const made = el("canvas", { width: after.naturalWidth, height: after.naturalHeight });
  const pen = made.getContext("2d", { willReadFrequently: true });
  const pixels = [before, after].map((image) => {
    pen.drawImage(image, 0, 0, made.width, made.height);
    return pen.getImageData(0, 0, made.width, made.height);
  });
  const [one, other] = pixels;
  for (let i = 0; i < other.data.length; i++) {
    other.data[i] = i % 4 === 3 ? 255 : Math.min(255, GAIN * Math.abs(other.data[i] - one.data[i]));
  }
  pen.putImageData(other, 0, 0);
  return made;
}
