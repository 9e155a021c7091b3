// A service with Sentry's SDK for Node on plain `http`. The SDK instruments incoming and outgoing requests.
//
// `GET /start?next=URL` begins a trace and calls the next service. `GET /end` is the last service; it answers with the
// headers that it would send on. Both log a line and measure two metrics. `GET /flush` answers when everything has been sent.
// Ends when standard input is closed.
"use strict";

const Sentry = require("@sentry/node"); // before `http`

const rate = process.env.SENTRY_TRACES_SAMPLE_RATE;
Sentry.init({
  orgId: process.env.ORG_ID,
  strictTraceContinuation: process.env.STRICT !== undefined,
  propagateTraceparent: true,
  tracesSampleRate: rate === undefined ? undefined : Number(rate),
  traceLifecycle: process.env.SENTRY_TRACE_LIFECYCLE,
  enableLogs: true,
});

const http = require("http");

const fetchJson = (url, headers) =>
  new Promise((resolve, reject) => {
    const request = http.get(url, { headers }, response => {
      let body = "";
      response.on("data", chunk => (body += chunk));
      response.on("end", () => (response.statusCode === 200 ? resolve(JSON.parse(body)) : reject(new Error(body))));
    });
    request.on("error", reject);
  });

// The same line and the same metrics as in the service in the middle.
const report = () => {
  const attributes = { "order.items": 3, "order.paid": true, "order.sku": "lamp" };
  Sentry.logger.info("checkout", { ...attributes, "order.total": 9.5 });
  Sentry.metrics.distribution("checkout.duration", 187.5, { unit: "millisecond", attributes });
  Sentry.metrics.count("checkout.orders", 1, { attributes });
};

const start = next =>
  Sentry.startNewTrace(() =>
    Sentry.startSpan({ name: "GET /checkout", op: "http.server", attributes: { "sentry.source": "route" } }, () => {
      report();
      return fetchJson(next, { baggage: "tenant=acme" });
    }),
  );

const end = () => {
  report();
  return Sentry.getTraceData();
};

const answer = async url => {
  if (url.pathname === "/start") return start(url.searchParams.get("next"));
  if (url.pathname === "/end") return end();
  return { flushed: await Sentry.flush(60000) };
};

const server = http.createServer((request, response) => {
  answer(new URL(request.url, "http://localhost")).then(
    body => response.end(JSON.stringify(body)),
    error => response.writeHead(500).end(String(error)),
  );
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
process.stdin.resume().on("end", () => process.exit());
