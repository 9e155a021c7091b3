// A shop process that serves until it is closed.
"use strict";

const { spawn } = require("child_process");
const readline = require("readline");

class Shop {
  // settings: environment variables
  static async open(binary, settings) {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(SENTRY|OTEL)_/.test(name));
    const env = { ...Object.fromEntries(inherited), ...settings };
    const shop = new Shop();
    shop.process = spawn(binary, ["--serve"], { env, stdio: ["pipe", "pipe", "inherit"] });
    shop.printed = [];
    const lines = readline.createInterface({ input: shop.process.stdout });
    await new Promise((resolve, reject) => {
      lines.on("line", line => {
        shop.printed.push(line);
        const gateway = /^gateway +(http:\S+)/.exec(line);
        if (gateway) shop.url = gateway[1];
        if (line.startsWith("Serving")) resolve();
        shop.onLine?.(line);
      });
      shop.process.on("exit", () => reject(new Error(`the shop ended: ${shop.printed.join("\n")}`)));
    });
    return shop;
  }

  // Ends the shop. True if it delivered everything.
  async close() {
    const ended = new Promise(resolve => this.process.on("exit", resolve));
    this.process.stdin.end();
    return (await ended) === 0;
  }
}

module.exports = { Shop };
