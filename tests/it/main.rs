//! What only the whole can show: headers in, spans, envelopes and headers out, through the facade's public names.

mod assembly;
mod check_up;
mod composite;
mod delivery;
mod exceptions;
mod hops;
mod hostile_server;
mod propagation;
mod raw_server;
mod set_up;
mod support;
mod trace;
mod transport;
mod two_back_ends;
mod with_exporter;
