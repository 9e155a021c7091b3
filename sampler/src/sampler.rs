//! The sampler: reads the parent, decides once per local root, and notes the decision where others find it.

use std::sync::Arc;

use opentelemetry::{
    Context, KeyValue, StringValue, TraceId, Value,
    trace::{Link, SpanContext, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use opentelemetry_sentry_protocol::{
    __shared::own_thread, Decision, DecisionLog, Incoming, InvalidSampleRate, RemoteTrace, SampleRand, SampleRate,
};
use opentelemetry_sentry_semantics::{Attributes, Source, describe, host_of_url, semconv, shortened, without_secrets};

use crate::{
    SamplerHandle, SamplingContext, SentrySamplerBuilder,
    decision::{Choice, Policy, is_probe},
    tunables::Tunables,
};

/// Decides for each local root whether Sentry gets its trace; everything below follows its local parent.
///
/// Cloning is cheap, and clones share their state. See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct SentrySampler {
    shared: Arc<Shared>,
    /// `host:port` of Sentry itself.
    excluded: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    pub(crate) tunables: Arc<Tunables>,
    /// Whether everything is recorded for others, whatever is decided for Sentry.
    pub(crate) record_all: bool,
    pub(crate) decisions: Arc<DecisionLog>,
}

/// A span that is about to start.
struct Start<'a> {
    name: &'a str,
    kind: &'a SpanKind,
    attributes: &'a [KeyValue],
    links: &'a [Link],
}

impl SentrySampler {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), excluded: Vec::new() }
    }

    /// A sampler that keeps undecided traces at this rate, and follows decisions that came in.
    ///
    /// # Errors
    ///
    /// If the rate is not in `0.0..=1.0`.
    pub fn rate(rate: f64) -> Result<Self, InvalidSampleRate> {
        let rate = SampleRate::try_from(rate)?;
        Ok(SentrySamplerBuilder::default().build_checked(Some(rate), None))
    }

    /// A sampler that asks a function for the rate of each local root.
    #[must_use]
    pub fn function(function: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        Self::builder().with_function(function).build_checked(None, None)
    }

    /// A sampler that records nothing and leaves the decision to others: tracing is off in this service.
    #[must_use]
    pub fn off() -> Self {
        Self::builder().build_checked(None, None)
    }

    /// A sampler with everything set by hand.
    pub fn builder() -> SentrySamplerBuilder {
        SentrySamplerBuilder::default()
    }

    /// Excludes requests to the host of this URL, which is Sentry's own: their client spans are never sampled.
    #[must_use]
    pub fn without_requests_to(mut self, url: &str) -> Self {
        self.excluded.extend(host_of_url(url));
        self
    }

    /// Changes rate and limit while the process runs.
    #[must_use]
    pub fn handle(&self) -> SamplerHandle {
        SamplerHandle::new(Arc::clone(&self.shared.tunables))
    }

    /// The log in which decisions about traces that begin here are noted, to be shared with the propagator.
    #[must_use]
    pub fn decision_log(&self) -> Arc<DecisionLog> {
        Arc::clone(&self.shared.decisions)
    }

    /// Whether nothing can be said about a child but what its local parent's flag says.
    fn only_follows(&self, is_sampled: bool, kind: &SpanKind) -> bool {
        let may_be_excluded = matches!(kind, SpanKind::Client) && !self.excluded.is_empty();
        let needs_its_decision = is_sampled && self.shared.record_all;
        !may_be_excluded && !needs_its_decision
    }

    /// Whether any other span is recorded, and what is handed over about it.
    #[inline(never)] // or those that only follow pay for its registers and its stack
    fn sample(
        &self,
        cx: Option<&Context>,
        trace_id: TraceId,
        start: &Start<'_>,
        local: Option<&SpanContext>,
    ) -> (bool, Vec<KeyValue>) {
        if own_thread::is_marked() || self.is_excluded(start) {
            return (false, Vec::new());
        }
        match local {
            Some(local) => self.inherit(cx, trace_id, local.is_sampled()),
            None => self.decide(cx, trace_id, start),
        }
    }

    /// Decides for a local root: one without a parent, or with a remote one.
    fn decide(&self, cx: Option<&Context>, trace_id: TraceId, start: &Start<'_>) -> (bool, Vec<KeyValue>) {
        let remote = cx.and_then(RemoteTrace::from_context);
        let incoming = remote.and_then(|remote| remote.incoming(trace_id));
        if let Some(decided) = remote.and_then(|remote| remote.decision(trace_id)) {
            return (decided.recorded, handed_over(decided, incoming, trace_id));
        }
        let parent_sampled = parent_sampled(cx, trace_id, incoming);
        let rand = incoming.map_or_else(|| SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        let choice = self.choose(start, incoming, parent_sampled);
        let (outcome, is_held_back) = self.outcome(choice, parent_sampled, rand);
        let decision = Arc::new(self.note(outcome, incoming, start));
        match decision.sampled {
            Some(false) if parent_sampled.is_some() => {}
            Some(false) if is_held_back => self.shared.decisions.feedback().count_held_back(),
            Some(false) => self.shared.decisions.feedback().count_unsampled(),
            Some(true) | None => {}
        }
        let result = (decision.recorded, handed_over(&decision, incoming, trace_id));
        if !remote.is_some_and(|remote| remote.decide(trace_id, &decision)) {
            self.shared.decisions.record(trace_id, decision);
        }
        result
    }

    fn choose(&self, start: &Start<'_>, incoming: Option<&Incoming>, parent_sampled: Option<bool>) -> Choice {
        let Shared { policy, tunables, .. } = &*self.shared;
        let is_traced = || tunables.rate().is_some() || policy.function.is_some();
        if parent_sampled.is_none() && !policy.probes && is_probe(Attributes::new(start.attributes)) && is_traced() {
            return Choice::Apply(SampleRate::NONE);
        }
        policy.choose(tunables.rate(), parent_sampled, || {
            let description = describe(start.name, start.kind, start.attributes);
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

    /// Lets the random value decide, and the limit have its say. Also returns whether it is for the server's sake alone
    /// that the trace is not sampled.
    fn outcome(&self, choice: Choice, parent_sampled: Option<bool>, rand: SampleRand) -> (Decision, bool) {
        let mut decision = Decision::default();
        let mut is_held_back = false;
        match choice {
            Choice::Apply(rate) => {
                let rate = if rand.is_below(rate) { self.shared.tunables.limited(rate, rand) } else { rate };
                let wanted = rand.is_below(rate);
                let rate = rate.halved(self.shared.decisions.feedback().halvings());
                is_held_back = wanted && !rand.is_below(rate);
                decision.sampled = Some(rand.is_below(rate));
                decision.sample_rate = Some(rate);
            }
            Choice::Inherit(sampled) => decision.sampled = Some(sampled),
            Choice::Refuse => decision.sampled = Some(false),
            Choice::PassOn => decision.sampled = parent_sampled,
        }
        let is_kept = decision.sampled == Some(true) && choice != Choice::PassOn;
        decision.recorded = is_kept || self.shared.record_all;
        (decision, is_held_back)
    }

    /// Completes the decision with what headers and the exporter need.
    fn note(&self, mut decision: Decision, incoming: Option<&Incoming>, start: &Start<'_>) -> Decision {
        match incoming.and_then(Incoming::frozen) {
            Some(frozen) => decision.frozen = Some(frozen.with_decision(&decision)),
            // Without a decision there is no transaction that could have a name.
            None if decision.sampled.is_none() => {}
            None => {
                let description = describe(start.name, start.kind, start.attributes);
                // It goes to everybody whom this service calls: not a URL, not a query, and no secret of either.
                let is_told = !matches!(description.source, Source::Url | Source::Task);
                let shown = without_secrets(&description.name);
                let name = shortened(shown.as_deref().unwrap_or(&description.name));
                decision.transaction = is_told.then(|| name.into());
            }
        }
        decision
    }

    /// Whether a span is a request to Sentry itself.
    fn is_excluded(&self, start: &Start<'_>) -> bool {
        if self.excluded.is_empty() || *start.kind != SpanKind::Client {
            return false;
        }
        let attributes = Attributes::new(start.attributes);
        let url = attributes.first_text([semconv::URL_FULL, semconv::HTTP_URL]);
        let host = url.as_deref().and_then(host_of_url);
        host.is_some_and(|host| self.excluded.contains(&host))
    }

    /// What a child gets: as its local parent. With everything recorded, its trace's decision is looked up.
    fn inherit(&self, cx: Option<&Context>, trace_id: TraceId, is_recorded: bool) -> (bool, Vec<KeyValue>) {
        if !(is_recorded && self.shared.record_all) {
            return (is_recorded, Vec::new());
        }
        let decision = self.shared.decisions.find(cx.and_then(RemoteTrace::from_context), trace_id);
        let is_sampled = decision.is_none_or(|decision| decision.sampled == Some(true));
        (true, if is_sampled { Vec::new() } else { vec![KeyValue::new(semconv::NOT_SAMPLED, true)] })
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
        // A span under an invalid parent has a trace id of its own.
        let local = parent.filter(|parent| !parent.is_remote());
        // Most spans are such children, and go no further.
        if let Some(local) = local.filter(|local| self.only_follows(local.is_sampled(), span_kind)) {
            let decision = if local.is_sampled() { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
            return SamplingResult { decision, attributes: Vec::new(), trace_state: local.trace_state().clone() };
        }
        let start = Start { name, kind: span_kind, attributes, links };
        let (is_recorded, attributes) = self.sample(parent_context, trace_id, &start, local);
        let decision = if is_recorded { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        let trace_state = parent.map(|parent| parent.trace_state().clone()).unwrap_or_default();
        SamplingResult { decision, attributes, trace_state }
    }
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

/// The attributes from which the exporter makes the trace's context, if the span is recorded.
fn handed_over(decision: &Decision, incoming: Option<&Incoming>, trace_id: TraceId) -> Vec<KeyValue> {
    if !decision.recorded {
        return Vec::new();
    }
    if decision.sampled != Some(true) {
        return vec![KeyValue::new(semconv::NOT_SAMPLED, true)];
    }
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
