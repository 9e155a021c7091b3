// visit.js SHOP: loads the shop's pages in Chromium, and compares the traces of the browser and the services, in both
// lifecycles.
"use strict";

const { randomBytes } = require("crypto");
const { Claims } = require("../stage/claims.js");
const { Ingest, PATIENCE } = require("../stage/ingest.js");
const { Shop } = require("../stage/shop.js");
const { launch } = require("../stage/chromium.js");

let claims; // of the lifecycle that runs
let words;
const COMPARED =
  "pageload from meta tags and from Server-Timing, DSC, fetch into Rust, web vitals, tunnel, server action, deferred " +
  "work, negative decision";

// What differs between transactions and streamed spans: the ops of a query and of an action, and the web vitals that a page has at once.
const WORDS = {
  static: { query: "db", action: "function.server_action", vitals: event => event.measurements, expected: ["ttfb", "ttfb.requestTime", "fp", "fcp", "lcp"] },
  stream: { query: "db.query", action: "function", vitals: event => vitalsOf(traceOf(event).data), expected: ["ttfb", "fp", "fcp"] },
};

// The browser prints 0.271380 as 0.27138, so numbers are compared as numbers.
const NUMBERS = ["sample_rand", "sample_rate"];
const values = (dsc = {}) =>
  Object.fromEntries(Object.entries(dsc).map(([key, text]) => [key, NUMBERS.includes(key) ? Number(text) : text]));

const traceOf = event => event.contexts.trace;
const spansOf = event => [traceOf(event), ...event.spans];
const withOp = (event, op) => event.spans.filter(span => span.op === op);

// A streamed span has its web vitals as attributes.
function vitalsOf(data) {
  const found = Object.entries(data).map(([key, value]) => [/^browser\.web_vital\.(\w+)\.value$/.exec(key)?.[1], { value }]);
  return Object.fromEntries(found.filter(([name]) => name));
}

// The URL of a request: a streamed span is named by its host.
const urlOf = span => span.data?.["url.full"] ?? span.data?.["http.url"] ?? span.data?.url ?? span.description;

// Parses a `sentry-trace` and a `baggage` header.
function trace(sentryTrace = "", baggage = "") {
  const [id, span, flag] = sentryTrace.split("-");
  const members = baggage.split(",").map(member => member.trim().split("="));
  const own = members.filter(([key]) => key.startsWith("sentry-"));
  const dsc = Object.fromEntries(own.map(([key, value]) => [key.slice(7), decodeURIComponent(value)]));
  return { id, span, flag, dsc: values(dsc) };
}

const fromMeta = html => {
  const content = name => new RegExp(`<meta name="${name}" content="([^"]*)"/>`).exec(html)?.[1];
  return trace(content("sentry-trace"), content("baggage"));
};

const fromTiming = header => {
  const description = name => new RegExp(`(?:^|[ ,])${name};desc="([^"]*)"`).exec(header)?.[1];
  return trace(description("sentry-trace"), description("baggage"));
};

// Runs in a page, before its own scripts.
function notePaint() {
  const note = () => (window.largestPaintReported = true);
  new PerformanceObserver(note).observe({ type: "largest-contentful-paint", buffered: true });
}

// Loads a page of the shop, and waits until it shows the stock, which it fetches.
async function load(browser, url, headers = {}) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const requests = [];
  page.on("request", request => requests.push(request));
  await page.route(url, route => route.continue({ headers: { ...route.request().headers(), ...headers } }));
  // A pageload ends a second after its last request, with the vitals that are known by then. On a busy machine the paint
  // is reported later than that, unless a request waits for it.
  await page.addInitScript(notePaint);
  const painted = () => page.waitForFunction(() => window.largestPaintReported);
  await page.route("**/products/lamp", route => painted().then(() => route.continue()));
  const response = await page.goto(url);
  const html = await response.text();
  const fetched = await page.waitForFunction(() => /\d/.test(document.getElementById("stock").textContent));
  const call = requests.find(request => request.url().endsWith("/products/lamp"));
  const timing = (await response.allHeaders())["server-timing"];
  return { page, requests, html, timing, fetched, headers: await call.allHeaders() };
}

async function continued(ingest, name, page, visit) {
  const same = (claim, found, wanted) => claims.same(`${name}: ${claim}`, found, wanted);
  const ours = event => traceOf(event).trace_id === page.id;
  const pageload = await ingest.find(`${name}: pageload`, event => traceOf(event).op === "pageload" && ours(event));
  same("the pageload's parent is the span that the page names", traceOf(pageload).parent_span_id, page.span);
  same("the browser's DSC is that of the page", values(pageload.dsc), page.dsc);
  same("the DSC says that it is sampled", [page.flag, page.dsc.sampled, page.dsc.sample_rate], ["1", "true", 1]);
  const isPages = span => span.span_id === page.span;
  const above = await ingest.find(`${name}: the page's own`, event => spansOf(event).some(isPages));
  same("that span is the gateway's, of the request for the page", above.from, "gateway");

  const calls = withOp(pageload, "http.client").filter(span => urlOf(span).endsWith("/products/lamp"));
  same("one http.client span of the fetch", calls.length, 1);
  const sent = trace(visit.headers["sentry-trace"], visit.headers.baggage);
  same("the fetch names it", [sent.id, sent.span, sent.flag], [page.id, calls[0]?.span_id, "1"]);
  same("the fetch has the page's DSC", sent.dsc, page.dsc);
  same("the fetch has a traceparent that agrees", visit.headers.traceparent, `00-${sent.id}-${sent.span}-01`);

  const below = (from, span) =>
    ingest.find(`${name}: ${from}`, event => event.from === from && traceOf(event).parent_span_id === span);
  const gateway = await below("gateway", sent.span);
  same("the gateway's transaction is a child of the fetch, in its trace", traceOf(gateway).trace_id, page.id);
  const inventory = await below("inventory", withOp(gateway, "http.client")[0]?.span_id);
  same("the inventory's is below it, in its trace", traceOf(inventory).trace_id, page.id);
  same("it asks the database", withOp(inventory, words.query).length, 1);
  const dscs = [above, gateway, inventory].map(event => values(event.dsc));
  same("all have the page's DSC", dscs, Array(3).fill(page.dsc));
  return pageload;
}

async function positive(browser, ingest, shop) {
  const visit = await load(browser, `${shop.url}/`);
  const pageload = await continued(ingest, "meta tags", fromMeta(visit.html), visit);
  const arrived = words.expected.filter(name => words.vitals(pageload)?.[name]?.value >= 0);
  claims.same("web vitals", arrived, words.expected);
  const tunnel = visit.requests.filter(request => request.url() === `${shop.url}/tunnel`);
  claims.holds("the browser sends through the tunnel", tunnel.length > 0);
  const answers = await Promise.all(tunnel.map(async request => (await request.response())?.status()));
  claims.same("the tunnel's other answers", answers.filter(status => status !== 200), []);
  const urls = visit.requests.map(request => request.url()).filter(url => !url.startsWith("data:"));
  claims.same("requests to others", urls.filter(url => !url.startsWith(`${shop.url}/`)), []);
  await order(visit.page, ingest);

  const still = await load(browser, `${shop.url}/static`);
  claims.same("the static page's meta tags", fromMeta(still.html).id, "");
  await continued(ingest, "Server-Timing", fromTiming(still.timing), still);
}

// The page's form and its link.
async function order(page, ingest) {
  await page.click("button");
  const action = await ingest.find("action", event => event.transaction === "serverAction/createOrder");
  claims.same("the form's action", [action.from, traceOf(action).op], ["gateway", words.action]);
  await page.waitForURL(url => url.pathname === "/");
  await page.click("a");
  const late = await ingest.find("deferred", event => event.transaction === "send_catalogue");
  const request = await ingest.find("link", event => event.transaction === "GET /catalogue");
  const links = traceOf(late).links?.map(link => link.span_id);
  claims.same("the link's deferred work is linked to its request", links, [traceOf(request).span_id]);
}

// A page of a trace that the caller has decided to drop. Returns the trace's id.
async function negative(browser, shop) {
  const [id, span] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
  const members = { trace_id: id, public_key: "public", sampled: "false", sample_rand: "0.9", sample_rate: "0.1" };
  const baggage = Object.entries(members).map(([key, value]) => `sentry-${key}=${value}`).join(",");
  const visit = await load(browser, `${shop.url}/`, { "sentry-trace": `${id}-${span}-0`, baggage });
  const [page, sent] = [fromMeta(visit.html), trace(visit.headers["sentry-trace"], visit.headers.baggage)];
  claims.same("dropped: the page says so", [page.id, page.flag, page.dsc.sampled], [id, "0", "false"]);
  claims.same("dropped: the fetch says so", [sent.id, sent.flag, sent.dsc], [id, "0", page.dsc]);
  await visit.page.goto("about:blank"); // ends the pageload, if there is one
  return id;
}

async function run(binary, lifecycle) {
  [claims, words] = [new Claims(`browser 11, ${lifecycle}`), WORDS[lifecycle]];
  const ingest = await Ingest.start();
  const settings = { SENTRY_ENVIRONMENT: "interop test", SENTRY_TRACE_LIFECYCLE: lifecycle };
  const shop = await Shop.open(binary, { SENTRY_DSN: ingest.dsn, ...settings });
  const browser = await launch();
  const dropped = await negative(browser, shop);
  await positive(browser, ingest, shop); // takes longer than sending the dropped trace would
  await browser.close();
  claims.holds("the services delivered everything", await shop.close());
  const sent = wanted => ingest.transactions.filter(wanted).map(event => `${event.from} ${event.transaction}`);
  claims.same("dropped: transactions", sent(event => traceOf(event).trace_id === dropped), []);
  claims.same("transactions of the tunnel", sent(event => /tunnel/.test(event.transaction)), []);
  claims.same("lifecycles of the services", ingest.lifecycles, [lifecycle]);
  return claims.close(COMPARED);
}

async function main(binary) {
  let status = 0;
  for (const lifecycle of Object.keys(WORDS)) status |= await run(binary, lifecycle);
  return status;
}

main(...process.argv.slice(2)).then(
  status => process.exit(status),
  error => {
    console.log(`browser 11: ${error.stack}`);
    process.exit(1);
  },
);
