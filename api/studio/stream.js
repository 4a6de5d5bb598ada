// Server-sent events by fetch: an EventSource cannot send the header that the key is in.

import { ask } from "./key.js";

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));

/** Calls onevent(type, data) for each event. Comes back by itself, with Last-Event-ID; refused, it is closed. */
export class Stream {
  constructor(path, { onevent, onlost }) {
    Object.assign(this, { path, onevent, onlost, closed: false, last: "", retry: 2000, leaving: new AbortController() });
    this.run();
  }

  close() {
    this.closed = true;
    this.leaving.abort();
  }

  async run() {
    while (!this.closed) {
      const headers = { Accept: "text/event-stream", ...(this.last && { "Last-Event-ID": this.last }) };
      try {
        const answer = await ask(this.path, { headers, signal: this.leaving.signal, cache: "no-store" });
        if (answer.status !== 200) break; // 204: nothing more to tell
        await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
      } catch {
        if (!this.closed) this.onlost();
      }
      if (!this.closed) await pause(this.retry);
    }
    this.closed = true;
  }

  async read(reader) {
    let rest = "";
    let event = {};
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const lines = (rest + piece.value).split("\n");
      rest = lines.pop();
      for (const line of lines) event = this.take(line, event);
    }
  }

  take(line, event) {
    if (line === "") {
      if (event.id !== undefined) this.last = event.id; // only now: one that was cut off is sent again
      if (event.data !== undefined && !this.closed) this.onevent(event.event ?? "message", JSON.parse(event.data));
      return {};
    }
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "retry") this.retry = Number(value);
    return name ? { ...event, [name]: value } : event; // without a name: a comment
  }
}
