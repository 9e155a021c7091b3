//! Headers in, one span, headers out: `tests/vectors/propagation.json`, with the parts set up as the facade does it.

use std::collections::{BTreeMap, HashMap};

use opentelemetry::{
    Context, TraceId,
    propagation::TextMapPropagator,
    trace::{Span as _, SpanBuilder, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sentry::{SentryPropagator, SentrySampler, protocol::Baggage};
use opentelemetry_sentry_vectors::{Attributes, Kind, each};
use serde::Deserialize;

use crate::support::{Headers, Ids};

#[derive(Deserialize)]
struct Case {
    incoming: HashMap<String, Vec<String>>,
    config: Config,
    span: Span,
    outgoing: Outgoing,
}

#[derive(Deserialize)]
struct Config {
    traces_sample_rate: Option<f64>,
    strict: bool,
    #[serde(default)]
    suppressed: bool,
    #[serde(default)]
    undecided_traceparent: bool,
}

#[derive(Deserialize)]
struct Span {
    trace_id: Option<String>,
    kind: Kind,
    name: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Outgoing {
    sentry_trace: Option<String>,
    traceparent: Option<String>,
    baggage: OutgoingBaggage,
}

#[derive(Deserialize)]
struct OutgoingBaggage {
    sentry: Option<BTreeMap<String, String>>,
    foreign: Vec<String>,
}

#[test]
fn propagation() {
    each("propagation", |case: &Case| {
        let sampler =
            case.config.traces_sample_rate.map_or_else(SentrySampler::off, |rate| SentrySampler::rate(rate).unwrap());
        let propagator = propagator(&case.config, &sampler);
        let parent = propagator.extract_with_context(&Context::new(), &Headers(case.incoming.clone()));
        let trace_id = case.span.trace_id.as_ref().map_or(TraceId::INVALID, |id| TraceId::from_hex(id).unwrap());
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_id_generator(Ids { trace_id, last_span: 0.into() })
            .build();
        let span = provider.tracer("test").build_with_context(builder(&case.span), &parent);
        let span_id = span.span_context().span_id().to_string();
        let cx = parent.with_span(span);
        let cx = if case.config.suppressed { cx.with_telemetry_suppressed() } else { cx };
        let mut sent = HashMap::new();
        propagator.inject_context(&cx, &mut sent);

        let expected = |header: &Option<String>| header.as_ref().map(|text| text.replace("<id>", &span_id));
        assert_eq!(sent.get("sentry-trace").cloned(), expected(&case.outgoing.sentry_trace));
        assert_eq!(sent.get("traceparent").cloned(), expected(&case.outgoing.traceparent));
        let baggage: Baggage = sent.get("baggage").map(String::as_str).unwrap_or_default().parse().unwrap();
        let entries = baggage.dsc().map(|dsc| dsc.iter().map(|(key, value)| (key.into(), value.into())).collect());
        assert_eq!(entries, case.outgoing.baggage.sentry);
        assert_eq!(baggage.foreign().collect::<Vec<_>>(), case.outgoing.baggage.foreign);
    });
}

fn propagator(config: &Config, sampler: &SentrySampler) -> SentryPropagator {
    SentryPropagator::builder()
        .with_dsn("https://public@o123.ingest.us.sentry.io/1")
        .with_release("shop@1.2.3")
        .with_strict_trace_continuation(config.strict)
        .with_undecided_traceparent(config.undecided_traceparent)
        .with_decision_log(sampler.decision_log())
        .build()
        .expect("a valid DSN")
}

fn builder(span: &Span) -> SpanBuilder {
    SpanBuilder::from_name(span.name.clone()).with_kind(span.kind.0.clone()).with_attributes(span.attributes.0.clone())
}
