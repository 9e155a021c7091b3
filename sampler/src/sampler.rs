//! The sampler: reads the parent, decides once per local root, and notes the decision where others find it.

use std::sync::Arc;

use opentelemetry::{
    Context, KeyValue, StringValue, TraceId, Value,
    trace::{Link, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use opentelemetry_sentry_protocol::{
    Decision, DecisionLog, Incoming, InvalidSampleRate, RemoteTrace, SampleRand, SampleRate,
    describe::{self, Attributes, Source},
    semconv,
};

use crate::{
    SamplingContext, SentrySamplerBuilder,
    decision::{self, Strategy, Verdict},
};

/// Decides for each local root whether Sentry gets its trace; everything below follows its local parent.
///
/// Cloning is cheap, and clones share their state. See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct SentrySampler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    strategy: Strategy,
    parent_based: bool,
    decisions: Arc<DecisionLog>,
}

/// A span that is about to start.
struct Start<'a> {
    name: &'a str,
    kind: &'a SpanKind,
    attributes: &'a [KeyValue],
    links: &'a [Link],
}

impl SentrySampler {
    pub(crate) fn new(strategy: Strategy, parent_based: bool) -> Self {
        Self { shared: Arc::new(Shared { strategy, parent_based, decisions: Arc::default() }) }
    }

    /// A sampler that keeps undecided traces at this rate, and follows decisions that came in.
    ///
    /// # Errors
    ///
    /// If the rate is not in `0.0..=1.0`.
    pub fn rate(rate: f64) -> Result<Self, InvalidSampleRate> {
        Ok(Self::new(Strategy::Rate(SampleRate::try_from(rate)?), true))
    }

    /// A sampler that asks a function for the rate of each local root.
    #[must_use]
    pub fn function(function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        Self::new(Strategy::Function(Arc::new(function)), true)
    }

    /// A sampler that records nothing and leaves the decision to others: tracing is off in this service.
    #[must_use]
    pub fn off() -> Self {
        Self::new(Strategy::Off, true)
    }

    /// A sampler with everything set by hand.
    pub fn builder() -> SentrySamplerBuilder {
        SentrySamplerBuilder::default()
    }

    /// The log in which decisions about traces that begin here are noted, to be shared with the propagator.
    #[must_use]
    pub fn decision_log(&self) -> Arc<DecisionLog> {
        Arc::clone(&self.shared.decisions)
    }

    /// Decides for a local root: one without a parent, or with a remote one.
    fn decide(&self, cx: Option<&Context>, trace_id: TraceId, start: &Start<'_>) -> Arc<Decision> {
        let remote = cx.and_then(RemoteTrace::from_context);
        if let Some(decided) = remote.and_then(|remote| remote.decision(trace_id)) {
            return Arc::clone(decided);
        }
        let incoming = remote.and_then(|remote| remote.incoming(trace_id));
        let parent_sampled = parent_sampled(cx, trace_id, incoming);
        let rand = incoming.map_or_else(|| SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        let verdict = if parent_sampled.is_none() && is_probe(start) && !self.is_off() {
            Verdict { sampled: Some(false), applied: Some(SampleRate::NONE) }
        } else {
            self.verdict(start, incoming, parent_sampled, rand)
        };
        let decision = Arc::new(note(verdict, incoming, start, self.is_off()));
        if !remote.is_some_and(|remote| remote.decide(trace_id, &decision)) {
            self.shared.decisions.record(trace_id, Arc::clone(&decision));
        }
        decision
    }

    /// Asks the user's rate or function.
    fn verdict(
        &self,
        start: &Start<'_>,
        incoming: Option<&Incoming>,
        parent_sampled: Option<bool>,
        rand: SampleRand,
    ) -> Verdict {
        let inherited = parent_sampled.filter(|_| self.shared.parent_based || self.is_off());
        decision::decide(&self.shared.strategy, inherited, rand, || {
            let description = describe::describe(start.name, start.kind, start.attributes);
            SamplingContext {
                name: description.name,
                op: description.op,
                kind: start.kind,
                attributes: start.attributes,
                links: start.links,
                parent_sampled,
                parent_sample_rate: incoming.and_then(Incoming::sample_rate).map(SampleRate::get),
            }
        })
    }

    fn is_off(&self) -> bool {
        matches!(self.shared.strategy, Strategy::Off)
    }
}

impl ShouldSample for SentrySampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let span = parent_context.map(TraceContextExt::span);
        let parent = span.as_ref().map(|span| span.span_context()).filter(|parent| parent.trace_id() == trace_id);
        let trace_state = parent.map(|parent| parent.trace_state().clone()).unwrap_or_default();
        if let Some(local) = parent.filter(|parent| parent.is_valid() && !parent.is_remote()) {
            return result(local.is_sampled(), Vec::new(), trace_state);
        }
        let start = Start { name, kind: span_kind, attributes, links };
        let decision = self.decide(parent_context, trace_id, &start);
        // With tracing off, a "yes" from upstream is passed on, and still nothing is recorded here.
        let sampled = decision.sampled == Some(true) && !self.is_off();
        let remote = parent_context.and_then(RemoteTrace::from_context);
        let incoming = remote.and_then(|remote| remote.incoming(trace_id));
        let attributes = if sampled { handed_over(&decision, incoming, trace_id) } else { Vec::new() };
        result(sampled, attributes, trace_state)
    }
}

fn result(sampled: bool, attributes: Vec<KeyValue>, trace_state: TraceState) -> SamplingResult {
    let decision = if sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
    SamplingResult { decision, attributes, trace_state }
}

/// A request that only asks what another would do, of which nobody wants a trace.
fn is_probe(start: &Start<'_>) -> bool {
    let method = Attributes::new(start.attributes).first_text([semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD]);
    method.is_some_and(|method| method.eq_ignore_ascii_case("HEAD") || method.eq_ignore_ascii_case("OPTIONS"))
}

/// What upstream decided. A trace that another propagator extracted has only the flag of its span.
fn parent_sampled(cx: Option<&Context>, trace_id: TraceId, incoming: Option<&Incoming>) -> Option<bool> {
    if let Some(incoming) = incoming {
        return incoming.sampled;
    }
    let span = cx?.span();
    let parent = span.span_context();
    (parent.is_remote() && parent.trace_id() == trace_id).then(|| parent.is_sampled())
}

/// The decision as children, headers and the exporter need it.
fn note(verdict: Verdict, incoming: Option<&Incoming>, start: &Start<'_>, off: bool) -> Decision {
    let mut decision = Decision::default();
    decision.sampled = verdict.sampled;
    decision.sample_rate = verdict.applied;
    match incoming.and_then(Incoming::frozen) {
        // A frozen context is passed on as it came; only a decision that was made here is written into it.
        Some(frozen) => {
            let mut frozen = frozen.clone();
            if let (Some(rate), false) = (verdict.applied, frozen.is_empty()) {
                frozen = frozen.with("sample_rate", &rate.to_string());
                if let (Some(sampled), Some(_)) = (verdict.sampled, frozen.sampled()) {
                    frozen = frozen.with("sampled", if sampled { "true" } else { "false" });
                }
            }
            decision.frozen = Some(frozen);
        }
        // Without tracing there is no transaction that could have a name.
        None if off => {}
        None => {
            let description = describe::describe(start.name, start.kind, start.attributes);
            decision.transaction = (description.source != Source::Url).then(|| description.name.into());
        }
    }
    decision
}

/// The attributes from which the exporter makes the trace's context.
fn handed_over(decision: &Decision, incoming: Option<&Incoming>, trace_id: TraceId) -> Vec<KeyValue> {
    let shared = |text: &Arc<str>| Value::String(StringValue::from(Arc::clone(text)));
    let mut attributes = Vec::with_capacity(2);
    if let Some(rate) = decision.sample_rate {
        attributes.push(KeyValue::new(semconv::SENTRY_SAMPLE_RATE, rate.get()));
    }
    if let Some(frozen) = &decision.frozen {
        attributes.push(KeyValue::new(semconv::DSC_FROZEN, shared(frozen.as_text())));
    } else {
        // Empty where the name is a URL: that there is a decision must be seen, too.
        let transaction = decision.transaction.as_ref().map_or(Value::from(""), shared);
        attributes.push(KeyValue::new(semconv::DSC_TRANSACTION, transaction));
    }
    let rand = incoming.filter(|incoming| incoming.frozen().is_none()).map(|incoming| incoming.sample_rand);
    if let Some(rand) = rand.filter(|rand| *rand != SampleRand::from_trace_id(trace_id)) {
        attributes.push(KeyValue::new(semconv::DSC_SAMPLE_RAND, rand.to_string()));
    }
    attributes
}
