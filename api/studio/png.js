// Masks as PNG files whose values are part ids: a canvas cannot keep those, so they are read and written here.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const MOST_PIXELS = 4096 * 4096;
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

export function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

function chunk(kind, data) {
  const made = new Uint8Array(12 + data.length);
  const view = new DataView(made.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) made[4 + i] = kind.charCodeAt(i);
  made.set(data, 8);
  view.setUint32(8 + data.length, crc(made.subarray(4, 8 + data.length)));
  return made;
}

/** An 8-bit grey PNG of width x height values, as a Blob. */
export async function encodeGrey(values, width, height) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits; the rest 0: grey, deflate, no interlace
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(values.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = await through(new CompressionStream("deflate"), rows);
  const parts = [new Uint8Array(SIGNATURE), chunk("IHDR", header), chunk("IDAT", packed), chunk("IEND", new Uint8Array())];
  return new Blob(parts, { type: "image/png" });
}

/** The values of an indexed or grey PNG of 1 to 8 bits: { width, height, values }. Throws for any other file. */
export async function decodeValues(bytes) {
  if (!SIGNATURE.every((byte, i) => bytes[i] === byte)) throw new Error("The mask is no PNG file.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = [];
  let header = null;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IHDR") header = { width: view.getUint32(at + 8), height: view.getUint32(at + 12), bits: bytes[at + 16], colour: bytes[at + 17], interlace: bytes[at + 20] };
    if (kind === "IDAT") data.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  if (!header || ![0, 3].includes(header.colour) || header.interlace || header.bits > 8) {
    throw new Error("The mask is no indexed or grey PNG.");
  }
  const { width, height, bits } = header;
  if (width * height > MOST_PIXELS) throw new Error("The mask is too large.");
  const stride = Math.ceil((width * bits) / 8);
  const rows = unfilter(await through(new DecompressionStream("deflate"), await new Blob(data).arrayBuffer()), stride, height);
  return { width, height, values: unpack(rows, width, height, bits, stride) };
}

/** PNG filters undone, for pixels of one byte or less. */
function unfilter(rows, stride, height) {
  if (rows.length < height * (stride + 1)) throw new Error("The mask file ends too early.");
  const out = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x ? out[at - 1] : 0;
      const up = y ? out[at - stride] : 0;
      const corner = x && y ? out[at - stride - 1] : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      out[at] = rows[y * (stride + 1) + 1 + x] + guess;
    }
  }
  return out;
}

function paeth(left, up, corner) {
  const [a, b, c] = [up - corner, left - corner, left + up - 2 * corner].map(Math.abs);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function unpack(rows, width, height, bits, stride) {
  if (bits === 8) return rows;
  const values = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = rows[y * stride + ((x * bits) >> 3)];
      values[y * width + x] = (byte >> (8 - bits - ((x * bits) & 7))) & ((1 << bits) - 1);
    }
  }
  return values;
}
