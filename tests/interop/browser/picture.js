// picture.js SHOP FILE: loads the shop's page, and takes a picture of the shop's output for its trace.
"use strict";

const { Shop } = require("../stage/shop.js");
const { launch } = require("../stage/chromium.js");

// The styles of the terminal's colour codes in the picture.
const COLOURS = {
  1: "font-weight:bold",
  2: "color:#6e7681",
  31: "color:#ff7b72",
  32: "color:#7ee787",
  33: "color:#e3b341",
  35: "color:#d2a8ff",
  36: "color:#79c0ff",
};
const STYLE = `
  body { margin: 0; background: #0d1117; }
  pre { display: inline-block; margin: 0; padding: 14px 18px; color: #e6edf3; }
  pre { font: 15px/20px "DejaVu Sans Mono", monospace; }`;

const escaped = text => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

// Each code of the shop starts one style or, as 0, ends it.
function html(line) {
  let open = 0;
  return escaped(line).replace(/\x1b\[(\d+)m/g, (_, code) => {
    if (code === "0") return "</span>".repeat(open-- > 0 ? 1 : 0);
    open += 1;
    return `<span style="${COLOURS[code]}">`;
  });
}

const plain = line => line.replace(/\x1b\[\d+m/g, "");

// The lines of the page load's trace, once the shop has printed all of it.
function printed(shop) {
  return new Promise(resolve => {
    let lines = [];
    shop.onLine = line => {
      if (plain(line).startsWith("── trace")) lines = [];
      else lines.push(line);
      const has = text => lines.some(one => plain(one).includes(text));
      if (has("browser: pageload") && has("db SELECT")) setTimeout(() => resolve(lines), 200); // with its last lines
    };
  });
}

async function main(binary, file) {
  const shop = await Shop.open(binary, { CLICOLOR_FORCE: "1" });
  const browser = await launch();
  const visitor = await browser.newPage();
  await fetch(`${shop.url}/products/lamp`); // the first request is slower than later ones
  const lines = printed(shop);
  await visitor.goto(`${shop.url}/`);
  const rows = (await lines).filter(line => line !== "").map(html);

  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  await page.setContent(`<style>${STYLE}</style><pre>${rows.join("\n")}</pre>`);
  await page.locator("pre").screenshot({ path: file });
  await browser.close();
  await shop.close();
}

main(...process.argv.slice(2)).then(
  () => process.exit(0),
  error => {
    console.log(`picture: ${error.stack}`);
    process.exit(1);
  },
);
