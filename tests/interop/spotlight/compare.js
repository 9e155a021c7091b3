// compare.js SHOP: the shop sends to an ingest and to Spotlight. Compares the transactions and the logs in both.
"use strict";

const { Claims } = require("../stage/claims.js");
const { Ingest, PATIENCE } = require("../stage/ingest.js");
const { Shop } = require("../stage/shop.js");
const viewer = require("./viewer.js");

const REQUESTS = [
  ["GET", "/products/lamp"],
  ["GET", "/products/unknown"],
  ["GET", "/sales"],
  ["POST", "/orders/lamp"],
  ["POST", "/orders", "sku=mug"],
  ["GET", "/catalogue"],
  ["GET", "/"],
];
const TRANSACTIONS = 15;

const fields = span => [span.span_id, span.parent_span_id, span.op, span.description, span.status];

const summary = event => ({
  name: event.transaction,
  trace: event.contexts.trace,
  dsc: event.dsc,
  spans: event.spans.map(fields),
  times: [event.start_timestamp, event.timestamp],
});

// What `tail logs` prints of a log, apart from its time, which it rounds.
const line = log => {
  const attributes = Object.entries(log.attributes).map(([key, typed]) => [key, typed.value]);
  const fields = { type: "log", level: log.level, message: log.body, trace_id: log.trace_id };
  return { ...fields, severity_number: log.severity_number, ...Object.fromEntries(attributes) };
};

// In any order: the services send at the same time.
const sorted = lines => lines.map(one => JSON.stringify(Object.entries(one).sort())).sort();

async function main(binary) {
  const claims = new Claims("spotlight");
  const [ingest, url] = [await Ingest.start(), await viewer.start()];
  const shop = await Shop.open(binary, { SENTRY_DSN: ingest.dsn, SENTRY_SPOTLIGHT: `${url}/stream` });
  for (const [method, path, form] of REQUESTS) {
    const headers = form && { "content-type": "application/x-www-form-urlencoded" };
    await (await fetch(shop.url + path, { method, headers, body: form, redirect: "manual" })).text();
  }
  claims.holds("the services delivered everything", await shop.close());
  const seen = await viewer.transactions(url, ingest.transactions.length, PATIENCE);
  claims.same("transactions at the ingest", ingest.transactions.length, TRANSACTIONS);
  claims.same("transactions in Spotlight", seen.length, TRANSACTIONS);
  for (const sent of ingest.transactions) {
    const found = seen.find(event => event.event_id === sent.event_id);
    claims.same(`${sent.from} ${sent.transaction}`, found && summary(found), summary(sent));
  }
  const printed = await viewer.tailLogs(url, ingest.logs.length, PATIENCE);
  claims.holds("there are lines at the ingest", ingest.logs.length > 0);
  claims.same("lines of `tail logs`", sorted(printed.map(({ timestamp, ...rest }) => rest)), sorted(ingest.logs.map(line)));
  const transactions = "every transaction of the shop read back: trace, parents, names, times, spans, trace header";
  return claims.close(`${transactions}; every log printed by \`tail logs\``);
}

main(...process.argv.slice(2)).then(
  status => process.exit(status),
  error => {
    console.log(`spotlight: ${error.stack}`);
    process.exit(1);
  },
);
