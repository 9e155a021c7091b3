// The frame of the Worker: it serves the page's files, and leaves products to Rust.
import { answer, initSync, start, stats } from "./edge.js";
import module from "./edge_bg.wasm";
import page from "./page.html";
import script from "./edge.js.txt";
import binary from "./edge_bg.wasm.bin";

const FILES = {
  "/": ["text/html", env => page.replace("SENTRY_DSN", env.SENTRY_DSN)],
  "/edge.js": ["text/javascript", () => script],
  "/edge_bg.wasm": ["application/wasm", () => binary],
  "/stats": ["text/plain", () => stats()],
};

let started = false;

export default {
  async fetch(request, env, context) {
    if (!started) {
      initSync({ module });
      if (env.SENTRY_DSN) start("worker", env.SENTRY_DSN);
      started = true;
    }
    const path = new URL(request.url).pathname;
    if (path.startsWith("/products/")) return answer(request, env.GATEWAY, context);
    const [type, content] = FILES[path] ?? ["text/plain", () => "There is no such page."];
    return new Response(content(env), { headers: { "content-type": type }, status: path in FILES ? 200 : 404 });
  },
};
