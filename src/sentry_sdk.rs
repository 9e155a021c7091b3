//! How do errors of the `sentry` crate find the trace that they happened in?
//!
//! | you want | you write |
//! | --- | --- |
//! | events of `sentry::capture_error` and the like in the trace of the active span | [`TraceIntegration`] |
//! | one queue and one rate limiter for both | [`SharedTransport`] |
//!
//! `sentry` stands for version 0.49 of that crate; this module needs its part `sentry-core` alone, which wants
//! Rust 1.89.
//!
//! # What it does not do
//!
//! It makes no traces of `sentry`'s own transactions and spans: leave its `traces_sample_rate` at 0, so that nothing is
//! sent twice. It does not touch its structured logs and metrics, which know the trace of the hub's scope.

mod integration;
mod transport;

pub use self::{integration::TraceIntegration, transport::SharedTransport};
