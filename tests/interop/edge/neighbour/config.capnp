using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "loopback", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "worker")],
);

const worker :Workerd.Worker = (
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["nodejs_compat"],
  modules = [(name = "neighbour.js", esModule = embed "neighbour.js")],
  bindings = [
    (name = "SENTRY_DSN", fromEnvironment = "SENTRY_DSN"),
    (name = "RATE", fromEnvironment = "RATE"),
  ],
  globalOutbound = "loopback",
);
