#![doc = include_str!("../README.md")]
//!
//! # One propagator writes all headers
//!
//! An OpenTelemetry `Injector` cannot read what another propagator wrote, so two propagators that write `baggage` overwrite
//! each other. This one writes all four headers. Into `baggage` it merges Sentry's members, the OpenTelemetry `Baggage` of
//! the context and the foreign members that came in.
//!
//! # Beside other propagators
//!
//! Install this propagator alone: it does the work of `TraceContextPropagator` and `BaggagePropagator` as well. In a
//! `TextMapCompositePropagator` the last one wins, both on extraction and on injection:
//!
//! | order | effect |
//! | --- | --- |
//! | `TraceContextPropagator`, this one | works; the first one has no effect |
//! | this one, `TraceContextPropagator` | a `traceparent` that names another trace than `sentry-trace` wins, which breaks Sentry's trace |
//! | `BaggagePropagator`, this one | works; the first one has no effect |
//! | this one, `BaggagePropagator` | `baggage` is encoded again, in any order, and the context of a trace that begins here is lost |
//!
//! Incoming members of others are in `cx.baggage()` in any case. To read a single one as it came in, use
//! [`RemoteTrace::foreign_value`](opentelemetry_sentry_protocol::RemoteTrace::foreign_value).
//!
//! # Where headers go
//!
//! A propagator does not know the URL of a request. Give it an injector that does: [`PropagationTargets::injector`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod environment;
mod extract;
mod inject;
mod markup;
mod propagator;
mod settings;
mod targets;

pub use crate::{
    builder::{PropagatorBuildError, SentryPropagatorBuilder},
    markup::{meta_tags, server_timing},
    propagator::SentryPropagator,
    targets::{InvalidTarget, PropagationTargets, PropagationTargetsBuilder},
};
