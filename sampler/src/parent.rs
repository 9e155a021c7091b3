//! What a local root gets from its parent, and what it hands over to the exporter.

use std::sync::Arc;

use opentelemetry::{Context, KeyValue, StringValue, TraceId, Value, trace::TraceContextExt};
use opentelemetry_sentry_protocol::{__shared::not_sampled, Decision, Incoming, SampleRand};
use opentelemetry_sentry_semantics::semconv;

/// The decision of the calling service. If another propagator extracted the trace, only the span's flag is known.
pub(crate) fn parent_sampled(cx: Option<&Context>, trace_id: TraceId, incoming: Option<&Incoming>) -> Option<bool> {
    if let Some(incoming) = incoming {
        return incoming.sampled;
    }
    let span = cx?.span();
    let parent = span.span_context();
    (parent.is_remote() && parent.trace_id() == trace_id).then(|| parent.is_sampled())
}

/// The attributes from which the exporter makes the dynamic sampling context, if the span is recorded.
pub(crate) fn handed_over(decision: &Decision, incoming: Option<&Incoming>, trace_id: TraceId) -> Vec<KeyValue> {
    if !decision.recorded {
        return Vec::new();
    }
    if decision.sampled != Some(true) {
        return vec![not_sampled::attribute()];
    }
    let shared = |text: &Arc<str>| Value::String(StringValue::from(Arc::clone(text)));
    let mut attributes = Vec::with_capacity(2);
    if let Some(rate) = decision.sample_rate {
        attributes.push(KeyValue::new(semconv::SENTRY_SAMPLE_RATE, rate.get()));
    }
    if let Some(frozen) = &decision.frozen {
        attributes.push(KeyValue::new(semconv::DSC_FROZEN, shared(frozen.as_text())));
    } else {
        // Empty if the name is a URL: the exporter sees by the attribute that a sampler has decided.
        let transaction = decision.transaction.as_ref().map_or(Value::from(""), shared);
        attributes.push(KeyValue::new(semconv::DSC_TRANSACTION, transaction));
    }
    let rand = incoming.filter(|incoming| incoming.frozen().is_none()).map(|incoming| incoming.sample_rand);
    if let Some(rand) = rand.filter(|rand| *rand != SampleRand::from_trace_id(trace_id)) {
        attributes.push(KeyValue::new(semconv::DSC_SAMPLE_RAND, rand.to_string()));
    }
    attributes
}
