// Spotlight's server on loopback only. Its own command listens on every interface and sends usage data.
"use strict";

const { spawn } = require("child_process");
const fs = require("fs");
const net = require("net");
const path = require("path");
const readline = require("readline");
const { pathToFileURL } = require("url");

const ROOT = path.join(process.env.NODE_PATH.split(path.delimiter)[0], "@spotlightjs/spotlight/dist");
const QUIET = { info() {}, warn() {}, debug() {}, error: console.error };

// Makes every server of this process that gives no host listen on the loopback.
function useLoopback() {
  const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (port, ...rest) {
    if (typeof port === "object") return listen.call(this, { host: "127.0.0.1", ...port }, ...rest);
    const host = typeof rest[0] === "string" ? [] : ["127.0.0.1"];
    return listen.call(this, port, ...host, ...rest.filter(one => one !== undefined));
  };
}

// Starts the server with its pages. Returns its URL.
async function start() {
  useLoopback();
  const { setupSpotlight } = await import(pathToFileURL(path.join(ROOT, "server/main.js")));
  const filesToServe = { "index.html": fs.readFileSync(path.join(ROOT, "ui/index.html")) };
  for (const asset of fs.readdirSync(path.join(ROOT, "ui/assets"))) {
    filesToServe[`assets/${asset}`] = fs.readFileSync(path.join(ROOT, "ui/assets", asset));
  }
  const server = await setupSpotlight({ port: 0, filesToServe, isStandalone: true, logger: QUIET });
  const { address, port } = server.address();
  if (address !== "127.0.0.1") throw new Error(`Spotlight listens on ${address}`);
  return `http://127.0.0.1:${port}`;
}

// Waits until Spotlight's command `tail logs` has printed `count` lines, as JSON. It gets what arrived before it began, too.
async function tailLogs(url, count, patience) {
  const tail = JSON.stringify(pathToFileURL(path.join(ROOT, "server/cli/tail.js")));
  // Its file alone: the whole command would send usage data.
  const code = `import(${tail}).then(tail => tail.handler({ port: ${new URL(url).port}, cmdArgs: ["logs"], format: "json" }))`;
  const command = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const late = setTimeout(() => command.kill(), patience);
  const found = [];
  for await (const line of readline.createInterface({ input: command.stdout })) {
    found.push(JSON.parse(line));
    if (found.length >= count) break;
  }
  clearTimeout(late);
  command.kill();
  return found;
}

// Waits for `count` transactions. Returns their events with the envelope's `trace` header as `dsc`.
async function transactions(url, count, patience) {
  const found = [];
  try {
    const response = await fetch(`${url}/stream`, { signal: AbortSignal.timeout(patience) });
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const events = (text + chunk).split("\n\n");
      text = events.pop();
      for (const event of events) found.push(...read(event));
      if (found.length >= count) break;
    }
  } catch (error) {
    if (error.name !== "TimeoutError") throw error;
  }
  return found;
}

function read(event) {
  const data = event.split("\n").filter(line => line.startsWith("data:"));
  if (data.length === 0) return [];
  const [headers, items] = JSON.parse(data.map(line => line.slice(5)).join("\n"));
  const own = items.filter(([header]) => header.type === "transaction");
  return own.map(([, payload]) => ({ ...payload, dsc: headers.trace }));
}

module.exports = { start, tailLogs, transactions };
