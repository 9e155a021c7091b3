//! The sampler: reads the parent, decides once per local root, and records the decision where others find it.

use std::sync::Arc;

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use opentelemetry_sentry_protocol::{
    __shared::{Probe, monitored, not_sampled, own_thread},
    Decision, DecisionLog, Incoming, RemoteTrace, SampleRand, SampleRate, Unsampled,
};
use opentelemetry_sentry_semantics::{Attributes, Source, describe, is_database, semconv, shortened, without_secrets};

use crate::{
    choice::Choice,
    context::SamplingContext,
    decision::{Policy, is_probe},
    excluded::Excluded,
    parent::{handed_over, parent_sampled},
    trace_state::{Decided, updated},
    tunables::{SamplerHandle, Tunables},
};

/// Decides for each local root whether its trace is sent to Sentry; all other spans follow their local parent.
///
/// Cloning is cheap, and clones share their state. See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct SentrySampler {
    shared: Arc<Shared>,
    /// Requests to these are never sampled.
    excluded: Vec<Excluded>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) policy: Policy,
    pub(crate) tunables: Arc<Tunables>,
    /// Whether every trace is recorded for the application's other span processors.
    pub(crate) record_all: bool,
    /// Whether threshold and randomness are added to the trace state of a trace that came without.
    pub(crate) adds_threshold: bool,
    /// Whether Sentry's exporter gets the spans, which removes the attributes that are handed over.
    pub(crate) hands_over: bool,
    pub(crate) decisions: Arc<DecisionLog>,
}

/// What becomes of a span.
#[derive(Debug, Default)]
struct Outcome {
    is_recorded: bool,
    attributes: Vec<KeyValue>,
    /// `None` for the parent's.
    trace_state: Option<TraceState>,
}

/// A span that is about to start.
struct Start<'a> {
    name: &'a str,
    kind: &'a SpanKind,
    attributes: &'a [KeyValue],
    links: &'a [Link],
    /// The trace state of its parent.
    trace_state: &'a TraceState,
}

impl SentrySampler {
    pub(crate) fn new(shared: Shared, excluded: Vec<Excluded>) -> Self {
        Self { shared: Arc::new(shared), excluded }
    }

    /// A sampler that shares all state with this one and also excludes requests to the host of this URL: for the facade,
    /// which gets a sampler that the application has built.
    #[doc(hidden)]
    #[must_use]
    pub fn excluding_requests_to(mut self, url: &str) -> Self {
        self.excluded.extend(Excluded::host_of(url));
        self
    }

    /// The same for this URL only: the facade's tunnel may be a path of a host that is otherwise traced.
    #[doc(hidden)]
    #[must_use]
    pub fn excluding_url(mut self, url: &str) -> Self {
        self.excluded.extend(Excluded::url(url));
        self
    }

    /// A handle that changes the rate and the limit while the process runs.
    #[must_use]
    pub fn handle(&self) -> SamplerHandle {
        SamplerHandle::new(Arc::clone(&self.shared.tunables))
    }

    /// The log in which this sampler records its decisions about traces that begin here. Pass it to propagator and exporter.
    #[must_use]
    pub fn decision_log(&self) -> Arc<DecisionLog> {
        Arc::clone(&self.shared.decisions)
    }

    /// Whether a child span simply inherits its local parent's flag.
    fn only_follows(&self, is_sampled: bool, kind: &SpanKind, attributes: &[KeyValue]) -> bool {
        !is_sampled || !(self.shared.record_all || self.may_be_excluded(kind, attributes))
    }

    /// Whether a span may be an excluded request: most clients' spans are queries, without a URL.
    fn may_be_excluded(&self, kind: &SpanKind, attributes: &[KeyValue]) -> bool {
        let is_url = |attribute: &KeyValue| matches!(attribute.key.as_str(), semconv::URL_FULL | semconv::HTTP_URL);
        *kind == SpanKind::Client && !self.excluded.is_empty() && attributes.iter().any(is_url)
    }

    /// What becomes of any other span.
    #[inline(never)] // otherwise spans that only follow pay for its registers and its stack
    fn sample(
        &self,
        cx: Option<&Context>,
        trace_id: TraceId,
        start: &Start<'_>,
        local: Option<&SpanContext>,
    ) -> Outcome {
        if own_thread::is_marked() || self.is_excluded(start) || self.is_probed(cx, start) {
            return Outcome::default();
        }
        match local {
            Some(local) if !local.is_sampled() => {
                self.count_below(cx, trace_id);
                Outcome::default()
            }
            Some(local) => self.inherit(cx, trace_id, local.is_sampled()),
            None => self.decide(cx, trace_id, start),
        }
    }

    /// Decides for a local root: one without a parent, or with a remote one.
    fn decide(&self, cx: Option<&Context>, trace_id: TraceId, start: &Start<'_>) -> Outcome {
        let remote = cx.and_then(RemoteTrace::from_context);
        let incoming = remote.and_then(|remote| remote.incoming(trace_id));
        self.note_arrival(remote.is_some(), start);
        if let Some(decided) = remote.and_then(|remote| remote.decision(trace_id)) {
            if decided.sampled == Some(true) && self.ignores(start) {
                return self.ignore(incoming, trace_id, start);
            }
            self.count_in_stream(decided.unsampled);
            return self.outcome_of(decided, incoming, trace_id, start);
        }
        let parent_sampled = parent_sampled(cx, trace_id, incoming);
        let rand = incoming.map_or_else(|| SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        let choice = self.choose(start, incoming, parent_sampled);
        // A trace that the caller did not sample stays the caller's decision, and without tracing nothing is decided here.
        if !matches!(choice, Choice::PassOn | Choice::Inherit(false)) && self.ignores(start) {
            return self.ignore(incoming, trace_id, start);
        }
        let sampled_at = incoming.and_then(|incoming| incoming.sampled_at);
        let (outcome, is_held_back) = self.decision(choice, parent_sampled, sampled_at, rand);
        let unsampled = match outcome.sampled {
            // Another root of this process may have decided, which then knows why.
            Some(false) if parent_sampled.is_some() => self.unsampled_above(remote, incoming, trace_id),
            Some(false) if is_held_back => Some(Unsampled::Backpressure),
            Some(false) => Some(Unsampled::SampleRate),
            Some(true) | None => None,
        };
        if let Some(why) = unsampled {
            self.shared.decisions.feedback().count_unsampled(why);
        }
        let decision = Arc::new(self.completed(outcome, incoming, start).with_unsampled(unsampled));
        let result = self.outcome_of(&decision, incoming, trace_id, start);
        if !remote.is_some_and(|remote| remote.decide(trace_id, &decision)) {
            self.shared.decisions.record(trace_id, decision);
        }
        result
    }

    fn outcome_of(
        &self,
        decision: &Decision,
        incoming: Option<&Incoming>,
        trace_id: TraceId,
        start: &Start<'_>,
    ) -> Outcome {
        let Shared { record_all, hands_over, adds_threshold, .. } = *self.shared;
        let decided = Decided { trace_id, decision, incoming, records_all: record_all };
        Outcome {
            is_recorded: decision.recorded,
            attributes: if hands_over { handed_over(decision, incoming, trace_id) } else { Vec::new() },
            trace_state: updated(start.trace_state, decided, adds_threshold),
        }
    }

    /// Whether the application's filters ignore a local root of a stream.
    fn ignores(&self, start: &Start<'_>) -> bool {
        let streaming = self.shared.decisions.streaming();
        streaming.is_some_and(|streaming| streaming.ignores(start.name, start.kind, start.attributes))
    }

    /// Ignores a local root and the tree below it.
    ///
    /// The decision is not written into the cell, because it does not hold for other local roots of the request. Nor does it
    /// replace that of a sampled root: a span below an ignored one is known by its own flag.
    fn ignore(&self, incoming: Option<&Incoming>, trace_id: TraceId, start: &Start<'_>) -> Outcome {
        let Shared { decisions, record_all, .. } = &*self.shared;
        decisions.feedback().count_unsampled(Unsampled::Ignored);
        let decision = Decision::ignored(incoming.and_then(Incoming::frozen)).with_recorded(*record_all);
        let result = self.outcome_of(&decision, incoming, trace_id, start);
        if decisions.get(trace_id).is_none_or(|decision| decision.sampled != Some(true)) {
            decisions.record(trace_id, Arc::new(decision));
        }
        result
    }

    /// Why the root above a local root that a `deferred` piece of work begins is not sampled.
    fn unsampled_above(
        &self,
        remote: Option<&RemoteTrace>,
        incoming: Option<&Incoming>,
        trace_id: TraceId,
    ) -> Option<Unsampled> {
        let decisions = &self.shared.decisions;
        if incoming.is_some() || decisions.streaming().is_none() {
            return None;
        }
        decisions.find(remote, trace_id)?.unsampled
    }

    /// Counts a span of a stream below one that is not sampled. Without a stream only local roots are counted.
    #[inline(never)] // sampled spans must not pay for it
    fn count_below(&self, cx: Option<&Context>, trace_id: TraceId) {
        let decisions = &self.shared.decisions;
        let Some(streaming) = decisions.streaming() else { return };
        let decision = decisions.find(cx.and_then(RemoteTrace::from_context), trace_id);
        self.count_in_stream(decision.and_then(|decision| match decision.sampled {
            // The trace has a sampled root, so it is another root that is ignored.
            Some(true) => streaming.has_filters().then_some(Unsampled::Ignored),
            _ => decision.unsampled,
        }));
    }

    fn count_in_stream(&self, unsampled: Option<Unsampled>) {
        let decisions = &self.shared.decisions;
        if let Some(why) = unsampled.filter(|_| decisions.streaming().is_some()) {
            decisions.feedback().count_unsampled(why);
        }
    }

    /// Counts a local root for a check. One with links may be of messages that were read in a batch.
    fn note_arrival(&self, was_extracted: bool, start: &Start<'_>) {
        let arrivals = self.shared.decisions.arrivals();
        if was_extracted || !start.links.is_empty() {
            arrivals.count_continued();
        } else if *start.kind == SpanKind::Server {
            arrivals.count_unread();
        }
    }

    fn choose(&self, start: &Start<'_>, incoming: Option<&Incoming>, parent_sampled: Option<bool>) -> Choice {
        let Shared { policy, tunables, .. } = &*self.shared;
        let is_traced = || tunables.rate().is_some() || policy.function.is_some();
        if parent_sampled.is_none()
            && !policy.probes
            && is_probe(Attributes::unindexed(start.attributes))
            && is_traced()
        {
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

    /// Compares the random value with the rate, after limit and backpressure have lowered it. Also returns whether the
    /// trace is not sampled only because of backpressure.
    fn decision(
        &self,
        choice: Choice,
        parent_sampled: Option<bool>,
        sampled_at: Option<SampleRate>,
        rand: SampleRand,
    ) -> (Decision, bool) {
        let mut is_held_back = false;
        let decision = match choice {
            Choice::Apply(rate) => {
                let limited = if rand.is_below(rate) { self.shared.tunables.limited(rate, rand) } else { rate };
                let applied = limited.halved(self.shared.decisions.feedback().halvings());
                is_held_back = rand.is_below(limited) && !rand.is_below(applied);
                Decision::new(Some(rand.is_below(applied))).with_sample_rate(Some(applied))
            }
            Choice::Inherit(sampled) => Decision::new(Some(sampled)).with_sample_rate(sampled_at),
            Choice::Refuse => Decision::new(Some(false)),
            Choice::PassOn => Decision::new(parent_sampled),
        };
        let is_kept = decision.sampled == Some(true) && choice != Choice::PassOn;
        (decision.with_recorded(is_kept || self.shared.record_all), is_held_back)
    }

    /// Completes the decision with what headers and the exporter need.
    fn completed(&self, decision: Decision, incoming: Option<&Incoming>, start: &Start<'_>) -> Decision {
        match incoming.and_then(Incoming::frozen) {
            Some(frozen) => {
                let frozen = frozen.with_decision(&decision);
                decision.with_frozen(Some(frozen))
            }
            // Without a decision there is no transaction that could have a name.
            None if decision.sampled.is_none() => decision,
            None => {
                let description = describe(start.name, start.kind, start.attributes);
                // The name goes out to every service that this one calls, so it must not be a URL or a query.
                let is_public = !matches!(description.source, Source::Url | Source::Task);
                let shown = without_secrets(&description.name);
                let name = shortened(shown.as_deref().unwrap_or(&description.name));
                decision.with_transaction(is_public.then(|| name.into()))
            }
        }
    }

    /// Whether a span is an excluded request.
    fn is_excluded(&self, start: &Start<'_>) -> bool {
        if !self.may_be_excluded(start.kind, start.attributes) {
            return false;
        }
        let url = Attributes::unindexed(start.attributes).first_text([semconv::URL_FULL, semconv::HTTP_URL]);
        url.is_some_and(|url| self.excluded.iter().any(|excluded| excluded.contains(&url)))
    }

    /// Whether a span is not real: a check starts it to see whether this sampler is behind the global tracer provider.
    fn is_probed(&self, cx: Option<&Context>, start: &Start<'_>) -> bool {
        // The name first: it is cheaper than a look into the context, which every local root would pay for.
        let probe = if start.name == Probe::NAME { cx.and_then(|cx| cx.get::<Probe>()) } else { None };
        probe.inspect(|probe| probe.note(&self.shared.decisions)).is_some()
    }

    /// The result for a child span: that of its local parent. If every trace is recorded, the decision about Sentry is
    /// looked up, because the parent's flag only says that the span is recorded.
    fn inherit(&self, cx: Option<&Context>, trace_id: TraceId, is_recorded: bool) -> Outcome {
        if !(is_recorded && self.shared.record_all) {
            return Outcome { is_recorded, ..Outcome::default() };
        }
        let decision = self.shared.decisions.find(cx.and_then(RemoteTrace::from_context), trace_id);
        let is_sampled = decision.as_ref().is_none_or(|decision| decision.sampled == Some(true));
        if !is_sampled {
            self.count_in_stream(decision.and_then(|decision| decision.unsampled));
        }
        let attributes = if is_sampled { Vec::new() } else { vec![not_sampled::attribute()] };
        Outcome { is_recorded: true, attributes, trace_state: None }
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
        // The SDK gives a span under an invalid parent a new trace id, so such a parent has been filtered out.
        let local = parent.filter(|parent| !parent.is_remote());
        let is_monitored = attributes.iter().any(|attribute| attribute.key.as_str() == semconv::SENTRY_MONITOR_SLUG);
        if is_monitored {
            monitored::mark(trace_id);
        }
        // Sentry expects a check-in of each job, whether its trace is sampled or not.
        let unsampled = if is_monitored { SamplingDecision::RecordOnly } else { SamplingDecision::Drop };
        if local.is_none_or(SpanContext::is_sampled) {
            self.shared.decisions.databases().starting(|| is_database(attributes));
        }
        // Most spans are such children, and are done here.
        if let Some(local) = local.filter(|local| self.only_follows(local.is_sampled(), span_kind, attributes)) {
            let decision = if local.is_sampled() {
                SamplingDecision::RecordAndSample
            } else {
                self.count_below(parent_context, trace_id);
                unsampled
            };
            return SamplingResult { decision, attributes: Vec::new(), trace_state: local.trace_state().clone() };
        }
        let trace_state = parent.map_or(&TraceState::NONE, SpanContext::trace_state);
        let start = Start { name, kind: span_kind, attributes, links, trace_state };
        let outcome = self.sample(parent_context, trace_id, &start, local);
        let decision = if outcome.is_recorded { SamplingDecision::RecordAndSample } else { unsampled };
        let trace_state = outcome.trace_state.unwrap_or_else(|| trace_state.clone());
        SamplingResult { decision, attributes: outcome.attributes, trace_state }
    }
}
