// Receives envelopes as Sentry does, and keeps the transactions, streamed spans and logs in them.
"use strict";

const http = require("http");
const zlib = require("zlib");

const PATIENCE = 60000; // milliseconds; only a fault makes a test wait this long

class Ingest {
  // Streamed spans, with the envelope's `trace` header as `dsc`.
  spans = [];
  logs = [];
  #events = [];
  // A function that gets every envelope.
  copyTo = undefined;
  #waiting = new Set();

  static async start() {
    const ingest = new Ingest();
    const server = http.createServer((request, response) => {
      const chunks = [];
      request.on("data", chunk => chunks.push(chunk));
      request.on("end", () => {
        const envelope = decoded(Buffer.concat(chunks), request.headers["content-encoding"]);
        ingest.#take(envelope);
        ingest.copyTo?.(envelope);
        response.end("{}");
      });
    });
    await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
    server.unref();
    ingest.dsn = `http://public@127.0.0.1:${server.address().port}/1`;
    return ingest;
  }

  // A transaction is its event, with the envelope's `trace` header as `dsc` and its sender as `from`. A segment of streamed
  // spans is one, too.
  get transactions() {
    return [...this.#events, ...this.spans.filter(span => span.is_segment).map(root => segment(root, this.spans))];
  }

  // The lifecycles in which services have sent something. A browser streams the span of a slow click in both.
  get lifecycles() {
    const events = this.#events.filter(event => event.from !== "browser");
    const spans = this.spans.filter(span => !isBrowsers(span));
    return [...(events.length ? ["static"] : []), ...(spans.length ? ["stream"] : [])];
  }

  #take(envelope) {
    const { headers, items } = parsed(envelope);
    for (const { header, payload } of items) {
      if (header.type === "span") {
        this.spans.push(...JSON.parse(payload).items.map(span => ({ ...span, dsc: headers.trace })));
      } else if (header.type === "log") {
        this.logs.push(...JSON.parse(payload).items);
      } else if (header.type === "transaction") {
        const event = JSON.parse(payload);
        this.#events.push({ ...event, dsc: headers.trace, from: sender(event) });
      }
    }
    for (const look of this.#waiting) look();
  }

  // Waits for a transaction that matches.
  async find(what, wanted) {
    let give;
    const found = new Promise(resolve => (give = resolve));
    const look = () => {
      const one = this.transactions.find(wanted);
      if (one) give(one);
    };
    this.#waiting.add(look);
    look();
    const late = setTimeout(() => give(undefined), PATIENCE);
    const one = await found;
    clearTimeout(late);
    this.#waiting.delete(look);
    if (!one) throw new Error(`no transaction: ${what}. There are ${this.#names().join(", ")}`);
    return one;
  }

  #names() {
    return this.transactions.map(one => `${one.from} ${one.transaction}`);
  }
}

const decoded = (body, encoding) =>
  encoding === "gzip" ? zlib.gunzipSync(body) : encoding === "deflate" ? zlib.inflateSync(body) : body;

function parsed(envelope) {
  let rest = envelope;
  const line = () => {
    const end = rest.indexOf(10);
    const text = end < 0 ? rest : rest.subarray(0, end);
    rest = end < 0 ? Buffer.alloc(0) : rest.subarray(end + 1);
    return text;
  };
  const headers = JSON.parse(line());
  const items = [];
  while (rest.length > 0) {
    const header = JSON.parse(line());
    if (header.length === undefined) {
      items.push({ header, payload: line() });
    } else {
      items.push({ header, payload: rest.subarray(0, header.length) });
      rest = rest.subarray(header.length + 1);
    }
  }
  return { headers, items };
}

const value = (span, key) => span.attributes[key]?.value;
const isBrowsers = span => Boolean(value(span, "sentry.sdk.name")?.startsWith("sentry.javascript."));

// A streamed span in the fields of a transaction's span.
const asChild = span => ({
  ...span,
  op: value(span, "sentry.op"),
  description: span.name,
  data: Object.fromEntries(Object.entries(span.attributes).map(([key, typed]) => [key, typed.value])),
});

// A segment as a transaction.
function segment(root, spans) {
  const isChild = span => span !== root && value(span, "sentry.segment.id") === root.span_id;
  return {
    transaction: root.name,
    contexts: { trace: asChild(root) },
    spans: spans.filter(isChild).map(asChild),
    dsc: root.dsc,
    from: isBrowsers(root) ? "browser" : (value(root, "service.name") ?? "?"),
  };
}

const sender = event =>
  event.platform === "javascript" ? "browser" : (event.contexts.otel?.resource?.["service.name"] ?? "?");

module.exports = { Ingest, PATIENCE };
