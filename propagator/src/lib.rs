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

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod environment;
mod extract;
mod inject;
mod markup;
mod targets;

use std::sync::{Arc, OnceLock};

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};
use opentelemetry_sentry_protocol::{Baggage, SentryTrace, TraceParent};

use crate::builder::Settings;
pub use crate::{
    builder::{PropagatorBuildError, SentryPropagatorBuilder},
    markup::{meta_tags, server_timing},
    targets::{InvalidTarget, PropagationTargets, PropagationTargetsBuilder},
};

/// Reads and writes the headers of a distributed trace as Sentry's SDKs do, and W3C's beside them.
///
/// **In:** a valid `sentry-trace` continues its trace; without one, a valid `traceparent` does; otherwise a new trace
/// begins. **Out:** both headers, which always agree, and `baggage`.
///
/// Cloning is cheap. See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct SentryPropagator {
    settings: Arc<Settings>,
}

impl SentryPropagator {
    /// A propagator without a DSN: it passes on every trace, and says little about those that begin here.
    #[must_use]
    pub fn new() -> Self {
        Self { settings: Arc::default() }
    }

    /// A propagator that knows its service.
    pub fn builder() -> SentryPropagatorBuilder {
        SentryPropagatorBuilder::default()
    }
}

impl Default for SentryPropagator {
    fn default() -> Self {
        Self::new()
    }
}

impl TextMapPropagator for SentryPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        inject::inject(&self.settings, cx, injector);
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        extract::extract(&self.settings, cx, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: OnceLock<[String; 4]> = OnceLock::new();
        let names = [SentryTrace::HEADER, Baggage::HEADER, TraceParent::HEADER, TraceParent::STATE_HEADER];
        FieldIter::new(FIELDS.get_or_init(|| names.map(str::to_owned)))
    }
}

/// Whether a text may stand in a header: visible ASCII and blanks.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
