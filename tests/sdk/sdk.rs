//! Events of the `sentry` crate in the traces of ours, sent by its own transport.

mod events;
mod shared;
mod support;
