//! Puts events of the `sentry` crate into the traces of this one.
//!
//! | you want | you write |
//! | --- | --- |
//! | events of `sentry::capture_error` and the like in the trace of the active span | [`TraceIntegration`] |
//! | one queue and one rate limiter for both | [`SharedTransport`] |
//!
//! This is for `sentry` 0.49. The module depends on its part `sentry-core` only, which needs Rust 1.89.
//!
//! # What it does not do
//!
//! It does not convert transactions and spans of `sentry`: leave its `traces_sample_rate` at 0, so that nothing is sent
//! twice. It does not change its structured logs and metrics, which have the trace of the hub's scope.

mod integration;
mod transport;

pub use self::{integration::TraceIntegration, transport::SharedTransport};
