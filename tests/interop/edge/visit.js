// visit.js URL: loads the page in Chromium, and prints what it shows.
"use strict";

const { launch } = require("../stage/chromium.js");
const { PATIENCE } = require("../stage/ingest.js");

async function visit(url) {
  const browser = await launch();
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const failed = new Promise((_, reject) => page.on("pageerror", reject));
  await page.goto(url);
  const shown = page.waitForFunction(() => {
    const text = document.getElementById("product").textContent;
    return text !== "…" && text;
  });
  console.log(await (await Promise.race([shown, failed])).jsonValue());
  await browser.close();
}

visit(process.argv[2]).catch(error => {
  console.error(`edge: ${error.stack || error}`);
  process.exit(1);
});
