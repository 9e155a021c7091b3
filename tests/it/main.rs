//! Tests that need all parts at once, through the facade's public names: headers in, spans, envelopes and headers out.

mod assembly;
mod capture;
mod check_ins;
mod check_up;
mod composite;
mod delivery;
mod driven;
#[cfg(feature = "internal-logs")]
mod dropped;
#[cfg(feature = "logs")]
mod ending_thread;
mod exceptions;
mod hops;
mod hostile_server;
#[cfg(feature = "logs")]
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod processes;
mod propagation;
mod raw_server;
mod relays;
mod set_up;
mod stream;
mod support;
mod trace;
mod transport;
mod two_back_ends;
mod with_exporter;
