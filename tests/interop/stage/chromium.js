// Chromium without a window that can reach only this machine.
"use strict";

const { chromium } = require("playwright-core");

const ARGUMENTS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM, chromiumSandbox: false, args: ARGUMENTS });

module.exports = { launch };
