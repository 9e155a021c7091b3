# For workerd, the runtime of Cloudflare's Workers: `workerd serve config.capnp`.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "outside", network = (allow = ["public", "local"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "worker")],
);

const worker :Workerd.Worker = (
  compatibilityDate = "2026-01-01",
  modules = [
    (name = "worker.mjs", esModule = embed "worker.mjs"),
    (name = "edge.js", esModule = embed "edge.js"),
    (name = "edge_bg.wasm", wasm = embed "edge_bg.wasm"),
    (name = "page.html", text = embed "page.html"),
    (name = "edge.js.txt", text = embed "edge.js"),
    (name = "edge_bg.wasm.bin", data = embed "edge_bg.wasm"),
  ],
  bindings = [
    (name = "SENTRY_DSN", fromEnvironment = "SENTRY_DSN"),
    (name = "GATEWAY", fromEnvironment = "GATEWAY"),
  ],
  globalOutbound = "outside",
);
