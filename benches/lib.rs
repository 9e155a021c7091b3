//! What the benches share: two propagators and a request with 13 headers in two kinds of carriers; two span processors
//! and the trace of one request.

#[path = "../tests/support/client.rs"]
mod client;
pub mod counting;
pub mod doors;
mod headers;
pub mod instructions;
pub mod service;
pub mod timing;

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator},
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sentry_propagator::SentryPropagator;

pub use self::headers::{HEADERS, SENTRY_HEADERS, headers_without_trace};

/// Our propagator, as a service sets it up.
///
/// # Panics
///
/// If its DSN is invalid.
#[must_use]
pub fn sentry() -> SentryPropagator {
    let builder = SentryPropagator::builder()
        .with_dsn("https://4f1d0a2b6c3e4d5f8a9b0c1d2e3f4a5b@o123.ingest.us.sentry.io/456")
        .with_release("shop@1.2.3")
        .with_environment("production");
    builder.build().expect("the DSN is valid")
}

/// The propagators of a service without Sentry: the SDK's for `traceparent` and for `baggage`.
#[must_use]
pub fn composite() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())])
}

/// A context with a span that began a trace in this process.
#[must_use]
pub fn local_context() -> Context {
    let trace_id = TraceId::from(0x771a_43a4_1926_42f0_b136_d515_9a50_1700);
    let span_id = SpanId::from(0x7c7c_2e6c_5e1c_4b0a);
    let span = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE);
    Context::new().with_remote_span_context(span) // takes local span contexts, too
}

/// The carrier that a propagator reads from and writes to.
pub trait Carrier {
    /// Its name in the results.
    const NAME: &'static str;

    /// A request with these headers.
    fn with(headers: &[(&str, &str)]) -> Self;

    /// A request without headers and with room for all of [`HEADERS`], so that it never grows.
    fn with_room() -> Self;

    /// Calls a function that reads it.
    fn read<R>(&self, by: impl FnOnce(&dyn Extractor) -> R) -> R;

    /// Calls a function that writes into it.
    fn write(&mut self, by: impl FnOnce(&mut dyn Injector));

    /// Extracts from it with the propagator, into an empty context.
    fn extract(&self, propagator: &dyn TextMapPropagator) -> Context {
        self.read(|extractor| propagator.extract_with_context(&Context::new(), extractor))
    }

    /// Injects into it with the propagator.
    fn inject(&mut self, propagator: &dyn TextMapPropagator, cx: &Context) {
        self.write(|injector| propagator.inject_context(cx, injector));
    }
}

impl Carrier for HeaderMap {
    const NAME: &'static str = "HeaderMap";

    fn with(headers: &[(&str, &str)]) -> Self {
        let parse = |(name, value): &(&str, &str)| Some((name.parse::<HeaderName>().ok()?, value.parse().ok()?));
        let headers: Option<Vec<(HeaderName, HeaderValue)>> = headers.iter().map(parse).collect();
        headers.expect("names and values are valid").into_iter().collect()
    }

    fn with_room() -> Self {
        Self::with_capacity(HEADERS.len())
    }

    fn read<R>(&self, by: impl FnOnce(&dyn Extractor) -> R) -> R {
        by(&HeaderExtractor(self))
    }

    fn write(&mut self, by: impl FnOnce(&mut dyn Injector)) {
        by(&mut HeaderInjector(self));
    }
}

impl Carrier for HashMap<String, String> {
    const NAME: &'static str = "HashMap";

    fn with(headers: &[(&str, &str)]) -> Self {
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn with_room() -> Self {
        Self::with_capacity(HEADERS.len())
    }

    fn read<R>(&self, by: impl FnOnce(&dyn Extractor) -> R) -> R {
        by(self)
    }

    fn write(&mut self, by: impl FnOnce(&mut dyn Injector)) {
        by(self);
    }
}
