//! Error events of the `sentry` crate in our traces, our traces sent by its transport, and what of a span both send.

mod events;
mod logs;
mod modules;
mod shared;
mod support;
