//! The dynamic sampling context of a trace, for the envelope's `trace` header. The local root has it.

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::{Decision, Dsn, DynamicSamplingContext, SampleRand, SampleRate, Service};
use opentelemetry_sentry_semantics::{Attributes, semconv, shortened};

/// The longest context that an incoming `baggage` header can contain, in bytes.
const MAX_FROZEN: usize = 64 << 10;

/// The dynamic sampling context of a trace, as its local root has it.
#[derive(Debug, PartialEq)]
pub(crate) enum TraceContext {
    /// It came in with the request and is sent unchanged. If it is empty, no `trace` header is sent.
    Frozen(DynamicSamplingContext),
    /// The trace began in this process, which fills the context in.
    Own { sample_rand: SampleRand, decision: Decision },
    /// The trace came in, but another sampler than Sentry's decided about it, so its context is unknown.
    Unknown,
}

impl TraceContext {
    /// Reads the attributes in which the sampler hands the context over.
    pub(crate) fn of(root: &SpanData, attributes: Attributes<'_>) -> Self {
        let text = |key| attributes.get(key).map(|value| value.as_str());
        if let Some(frozen) = text(semconv::DSC_FROZEN) {
            // The parser skips invalid members. A longer text than any `baggage` header was set by the application.
            let is_real = frozen.len() <= MAX_FROZEN;
            return Self::Frozen(frozen.parse().ok().filter(|_| is_real).unwrap_or_default());
        }
        let transaction = text(semconv::DSC_TRANSACTION);
        if transaction.is_none() && root.parent_span_id != SpanId::INVALID {
            return Self::Unknown;
        }
        let rate = text(semconv::SENTRY_SAMPLE_RATE).and_then(|rate| rate.parse::<SampleRate>().ok());
        let name = transaction.filter(|name| !name.is_empty()).map(|name| shortened(&name).into());
        let decision = Decision::new(Some(true)).with_sample_rate(rate).with_transaction(name);
        let rand = text(semconv::DSC_SAMPLE_RAND).and_then(|rand| rand.parse().ok());
        let sample_rand = rand.unwrap_or_else(|| SampleRand::from_trace_id(root.span_context.trace_id()));
        Self::Own { sample_rand, decision }
    }

    /// The context that follows from the sampler's decision. [`of`](Self::of) reads the same from the root when it
    /// ends.
    pub(crate) fn of_decision(decision: &Decision, sample_rand: SampleRand) -> Self {
        match &decision.frozen {
            Some(frozen) => Self::Frozen(frozen.clone()),
            None => Self::Own { sample_rand, decision: decision.clone() },
        }
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of_val(self)
            + match self {
                Self::Frozen(dsc) => dsc.as_text().len(),
                Self::Own { decision, .. } => decision.transaction.as_ref().map_or(0, |name| name.len()),
                Self::Unknown => 0,
            }
    }

    /// The context to send, if there is one.
    pub(crate) fn dsc(&self, service: &Service, trace_id: TraceId) -> Option<DynamicSamplingContext> {
        match self {
            // Sentry ignores a context without a public key. A context with another trace id is not this trace's.
            Self::Frozen(dsc) => {
                let is_ours = dsc.get("trace_id").is_some_and(|id| id == trace_id.to_string());
                Some(dsc.clone()).filter(|dsc| is_ours && dsc.get("public_key").is_some())
            }
            Self::Own { sample_rand, decision } => Some(service.dsc(trace_id, *sample_rand, decision)),
            Self::Unknown => None,
        }
    }
}

/// The context of a trace, or a minimal one if it is not known.
pub(crate) fn known_or_minimal(
    context: Option<&TraceContext>,
    service: &Service,
    trace_id: TraceId,
) -> DynamicSamplingContext {
    let known = context.and_then(|context| context.dsc(service, trace_id));
    known.unwrap_or_else(|| minimal(service, trace_id))
}

/// The context of a trace about which nothing is known. It is made for this header only and never propagated, so it says
/// nothing about sampling.
fn minimal(service: &Service, trace_id: TraceId) -> DynamicSamplingContext {
    let (trace_id, org_id) = (trace_id.to_string(), service.org_id().map(|id| id.to_string()));
    let entries = [
        ("environment", Some(service.environment())),
        ("release", service.release()),
        ("public_key", service.dsn().map(Dsn::public_key)),
        ("trace_id", Some(trace_id.as_str())),
        ("org_id", org_id.as_deref()),
    ];
    DynamicSamplingContext::from_entries(entries.into_iter().filter_map(|(key, value)| Some((key, value?))))
}
