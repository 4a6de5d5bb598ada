// Files in one archive: ZIP without compression (pictures are compressed already), made in the page.

import { crc } from "./png.js";

const [LOCAL, CENTRAL, END] = [0x04034b50, 0x02014b50, 0x06054b50];
const [VERSION, UTF8] = [20, 0x0800];

/** files: [name, Uint8Array] pairs. Returns the archive as a Blob. */
export function zip(files) {
  const parts = [];
  const list = [];
  let at = 0;
  for (const [name, data] of files) {
    const label = new TextEncoder().encode(name);
    const about = [VERSION, UTF8, 0, 0, day(), crc(data), data.length, data.length, label.length, 0];
    const local = header(LOCAL, about);
    parts.push(local, label, data);
    list.push(header(CENTRAL, [VERSION, ...about, 0, 0, 0, 0, at]), label);
    at += local.length + label.length + data.length;
  }
  const length = list.reduce((sum, part) => sum + part.length, 0);
  const end = header(END, [0, 0, files.length, files.length, length, at, 0]);
  return new Blob([...parts, ...list, end], { type: "application/zip" });
}

const SIZES = {
  [LOCAL]: [2, 2, 2, 2, 2, 4, 4, 4, 2, 2],
  [CENTRAL]: [2, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2, 2, 2, 2, 4, 4],
  [END]: [2, 2, 2, 2, 4, 4, 2],
};

function header(mark, values) {
  const sizes = SIZES[mark];
  const made = new Uint8Array(4 + sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(made.buffer);
  view.setUint32(0, mark, true);
  let at = 4;
  values.forEach((value, i) => {
    if (sizes[i] === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += sizes[i];
  });
  return made;
}

/** Today, as MS-DOS counts. */
function day() {
  const now = new Date();
  return ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
}
