//! The time of a sampling decision, compared with the SDK's sampler.
//!
//! With `-- traces sentry http` (or `sdk`, or `plain`) it starts and ends the spans of many traces instead, so that a
//! profiler can count instructions.

use std::env;

use criterion::{BatchSize, Criterion};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span, SpanContext, SpanKind, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingResult, SdkTracerProvider, ShouldSample,
};
use opentelemetry_sentry_protocol::{DynamicSamplingContext, Incoming, RemoteTrace};
use opentelemetry_sentry_sampler::SentrySampler;

/// Our sampler and the SDK's, with the same rate.
///
/// # Panics
///
/// If the rate is not in 0.0..=1.0.
#[must_use]
pub(crate) fn samplers(rate: f64) -> [(&'static str, Box<dyn ShouldSample>); 2] {
    let sentry = SentrySampler::rate(rate).expect("a rate is in 0.0..=1.0");
    let sdk = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(rate)));
    [("sentry", Box::new(sentry)), ("sdk", Box::new(sdk))]
}

/// The rate of [`STARTS`].
pub(crate) const RATE: f64 = 0.25;

/// A kind of span and the context in which it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Its name in the results.
    pub(crate) name: &'static str,
    parent: Parent,
    is_sampled: bool,
    attributes: fn() -> Vec<KeyValue>,
}

#[derive(Clone, Copy, Debug)]
enum Parent {
    Local,
    Remote,
    /// No parent, in a context that was not extracted from a request.
    None,
    /// No parent, in the context of a request without trace headers.
    Extracted,
}

/// The starts that are measured.
pub(crate) const STARTS: [Start; 8] = [
    Start { name: "local child, sampled", parent: Parent::Local, is_sampled: true, attributes: Vec::new },
    Start { name: "local child, unsampled", parent: Parent::Local, is_sampled: false, attributes: Vec::new },
    Start { name: "remote parent, http", parent: Parent::Remote, is_sampled: true, attributes: http },
    Start { name: "root, sampled, http", parent: Parent::None, is_sampled: true, attributes: http },
    Start { name: "root, sampled", parent: Parent::None, is_sampled: true, attributes: Vec::new },
    Start { name: "root, unsampled, http", parent: Parent::None, is_sampled: false, attributes: http },
    Start { name: "root, unsampled", parent: Parent::None, is_sampled: false, attributes: Vec::new },
    Start { name: "root, extracted, http", parent: Parent::Extracted, is_sampled: true, attributes: http },
];

/// The attributes that an HTTP server's middleware sets on a request's span.
fn http() -> Vec<KeyValue> {
    vec![
        KeyValue::new("http.request.method", "GET"),
        KeyValue::new("http.route", "/users/{id}"),
        KeyValue::new("network.protocol.name", "http"),
        KeyValue::new("network.protocol.version", "1.1"),
        KeyValue::new("server.address", "shop.example.com"),
        KeyValue::new("server.port", 443),
        KeyValue::new("url.path", "/users/42"),
        KeyValue::new("url.scheme", "https"),
    ]
}

impl Start {
    /// A new trace for each call: the sampler keeps the decision in the trace's context and does not decide again.
    #[must_use]
    pub(crate) fn fresh(self) -> Fresh {
        // The upper half is random, so that look-ups by trace id differ. The lower half makes both samplers decide as wanted.
        let random = u128::from_be_bytes(RandomIdGenerator::default().new_trace_id().to_bytes()) >> 64 << 64;
        let trace_id =
            TraceId::from(random | if self.is_sampled { 0x0036_d515_9a50_1700 } else { 0xf0f6_d515_9a50_1700 });
        Fresh { cx: self.context(trace_id), trace_id, attributes: (self.attributes)() }
    }

    fn context(self, trace_id: TraceId) -> Context {
        let flags = TraceFlags::default().with_sampled(self.is_sampled);
        let parent = |is_remote| {
            let span_id = SpanId::from(0x7c7c_2e6c_5e1c_4b0a);
            let span = SpanContext::new(trace_id, span_id, flags, is_remote, TraceState::NONE);
            Context::new().with_remote_span_context(span)
        };
        match self.parent {
            Parent::Local => parent(false),
            Parent::Remote => parent(true).with_value(RemoteTrace::new(Some(incoming(trace_id)), "")),
            Parent::None => Context::new(),
            Parent::Extracted => Context::new().with_value(RemoteTrace::new(None, "")),
        }
    }
}

/// Six members, as Sentry's browser SDK sends them.
fn incoming(trace_id: TraceId) -> Incoming {
    let dsc = DynamicSamplingContext::from_entries([
        ("environment", "production"),
        ("release", "shop@1.2.3"),
        ("public_key", "4f1d0a2b6c3e4d5f8a9b0c1d2e3f4a5b"),
        ("trace_id", &trace_id.to_string()),
        ("sampled", "true"),
        ("sample_rand", "0.214188"),
    ]);
    Incoming::from_sentry(trace_id, Some(true), Some(dsc))
}

/// A span that is about to start.
#[derive(Debug)]
pub(crate) struct Fresh {
    cx: Context,
    trace_id: TraceId,
    attributes: Vec<KeyValue>,
}

impl Fresh {
    /// Asks the sampler.
    pub(crate) fn sample(&self, sampler: &dyn ShouldSample) -> SamplingResult {
        sampler.should_sample(
            Some(&self.cx),
            self.trace_id,
            "GET /users/{id}",
            &SpanKind::Server,
            &self.attributes,
            &[],
        )
    }
}

/// Starts and ends the spans of many traces: a root and twenty children each.
fn traces(sampler: Box<dyn ShouldSample>, attributes: fn() -> Vec<KeyValue>) {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let tracer = provider.tracer("bench");
    for _ in 0..20_000 {
        let root = tracer.span_builder("GET /users/{id}").with_kind(SpanKind::Server).with_attributes(attributes());
        let cx = Context::new().with_span(root.start_with_context(&tracer, &Context::new()));
        for _ in 0..20 {
            tracer.span_builder("child").start_with_context(&tracer, &cx).end();
        }
        cx.span().end();
    }
}

fn starts() {
    let mut criterion = Criterion::default().configure_from_args();
    for start in STARTS {
        let mut group = criterion.benchmark_group(start.name);
        for (side, sampler) in samplers(RATE) {
            let sample = |fresh: &mut Fresh| fresh.sample(&*sampler);
            group.bench_function(side, |bencher| {
                bencher.iter_batched_ref(|| start.fresh(), sample, BatchSize::SmallInput);
            });
        }
    }
    criterion.final_summary();
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["traces", side, root, ..] = arguments[..] else { return starts() };
    let attributes = if root == "http" { http } else { Vec::new };
    samplers(0.1).into_iter().filter(|(name, _)| *name == side).for_each(|(_, sampler)| traces(sampler, attributes));
}
