//! What would Sentry receive for a trace?

use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::Service;
use uuid::fmt::Simple;

use crate::{
    convert::{Sender, TagRules, random_id},
    packing::{Packer, Rules, take_gen_ai},
    trace::{EndedSpan, Fate, Trace},
};

/// Converts a trace to Sentry's JSON without any network.
///
/// It converts as an exporter without any settings does. A trace that is too large for Sentry is not split. Spans
/// that leave beside their transaction (those of generative models) are not in it.
///
/// ```
/// use opentelemetry::trace::{Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
/// use opentelemetry_sentry_exporter::testing::Conversion;
///
/// let ended = InMemorySpanExporter::default();
/// let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
/// provider.tracer("shop").in_span("checkout", |_| {});
///
/// let mut conversion = Conversion::new(ended.get_finished_spans()?);
/// let event: serde_json::Value = serde_json::from_slice(conversion.serialise())?;
/// assert_eq!(event["transaction"], "checkout");
/// assert_eq!(event["contexts"]["trace"]["status"], "ok");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Conversion {
    packer: Packer,
    trace: Trace,
    event_id: Simple,
}

impl Conversion {
    /// A trace of these spans. The first one is the root and becomes the transaction.
    #[must_use]
    pub fn new(spans: Vec<SpanData>) -> Self {
        let sender = Sender::new(Service::new(None), None, TagRules::default());
        let mut spans: Vec<_> = spans.into_iter().map(EndedSpan::from).collect();
        spans.iter_mut().for_each(EndedSpan::index);
        let mut trace = Trace { context: None, spans, fate: Fate::Whole };
        let _ = take_gen_ai(&mut trace);
        Self { packer: Packer::new(sender, Rules::default()), trace, event_id: random_id().simple() }
    }

    /// Sets the resource, which provides release, environment and contexts. Defaults to an empty one.
    #[must_use]
    pub fn with_resource(mut self, resource: &Resource) -> Self {
        self.packer.set_resource(resource);
        self
    }

    /// Hides secrets, converts and serialises. Each call returns the same event; it is empty if there are no spans.
    pub fn serialise(&mut self) -> &[u8] {
        self.packer.scrub(&mut self.trace);
        self.packer.whole_event(self.event_id, &self.trace).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_spans_there_is_no_event() {
        assert_eq!(Conversion::new(Vec::new()).serialise(), b"");
    }
}
