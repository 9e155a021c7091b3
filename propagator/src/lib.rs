//! An OpenTelemetry propagator that speaks Sentry: `sentry-trace`, `baggage` and W3C `traceparent`, in and out.
//!
//! ```
//! use std::collections::HashMap;
//! use opentelemetry::{global, propagation::TextMapPropagator};
//! use opentelemetry_sentry_propagator::SentryPropagator;
//!
//! let propagator = SentryPropagator::builder()
//!     .with_dsn("https://public@o123.ingest.us.sentry.io/1")
//!     .with_release("shop@1.2.3")
//!     .build()?;
//! global::set_text_map_propagator(propagator);
//!
//! // What an HTTP server and an HTTP client do:
//! let mut incoming = HashMap::from([(
//!     "sentry-trace".to_owned(),
//!     "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1".to_owned(),
//! )]);
//! incoming.insert("baggage".to_owned(), "tenant=7".to_owned());
//! let cx = global::get_text_map_propagator(|propagator| propagator.extract(&incoming));
//! let mut outgoing = HashMap::new();
//! global::get_text_map_propagator(|propagator| propagator.inject_context(&cx, &mut outgoing));
//! assert_eq!(outgoing["baggage"], "tenant=7");
//! assert_eq!(outgoing["traceparent"], "00-771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-01");
//! # Ok::<(), opentelemetry_sentry_propagator::PropagatorBuildError>(())
//! ```
//!
//! # It owns the headers
//!
//! An OpenTelemetry `Injector` cannot read what another propagator wrote, so two that write `baggage` overwrite each
//! other. This one writes all four headers and merges into `baggage` what belongs there: Sentry's members, the
//! OpenTelemetry `Baggage` of the context and the members of others that came in.
//!
//! # Beside other propagators
//!
//! Install it alone; it does the work of all three. In a `TextMapCompositePropagator` the last one wins, both when
//! extracting and when injecting:
//!
//! | order | what happens |
//! | --- | --- |
//! | `TraceContextPropagator`, ours | all is well, and the first is of no use |
//! | ours, `TraceContextPropagator` | a `traceparent` that names another trace than `sentry-trace` wins: Sentry's trace breaks |
//! | `BaggagePropagator`, ours | all is well; the application can read incoming members with `cx.baggage()` |
//! | ours, `BaggagePropagator` | `baggage` is encoded anew, in any order; the context of a trace that begins here is lost |
//!
//! So the one reason for a second propagator is to read incoming members through `cx.baggage()`: then put
//! `BaggagePropagator` first. One member alone is easier to have from
//! [`RemoteTrace::foreign_value`](opentelemetry_sentry_protocol::RemoteTrace::foreign_value).
//!
//! # Where headers go
//!
//! A propagator is not told the URL. Give it an injector that knows: [`PropagationTargets::injector`].
//!
//! # What it does not do
//!
//! It makes no decision: that is a sampler's, and `opentelemetry-sentry-sampler` is one that reads what this crate
//! extracted. It needs no SDK, no HTTP client and no async runtime.

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
