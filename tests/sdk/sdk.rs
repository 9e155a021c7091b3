//! Error events of the `sentry` crate in our traces, and our traces sent by its transport.

mod events;
mod logs;
mod shared;
mod support;
