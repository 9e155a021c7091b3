//! What a `Context` carries from `extract` to the sampler and to `inject`.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use opentelemetry::{Context, TraceId};

use crate::{
    baggage::Baggage,
    decision::Decision,
    dsc::DynamicSamplingContext,
    essentials::Essentials,
    member,
    ot_state::{OtState, Randomness},
    sampling::{SampleRand, SampleRate},
};

/// What came in with a request, and a cell for the decision about its trace.
///
/// `extract` puts one into the `Context` of every request, even if no header came in. The sampler reads
/// [`incoming`](Self::incoming) and fills the cell once; child spans and `inject` read the cell.
///
/// It belongs to **one** trace: the one that was continued, or else the first that began under its `Context`. Every
/// accessor takes the trace id of the current span, so that a second local root under the same `Context` never reads the
/// values of the first.
#[derive(Clone, Debug, Default)]
pub struct RemoteTrace {
    incoming: Option<Incoming>,
    foreign: Box<str>,
    /// A context is immutable and shared by all tasks of a request, so the sampler needs a cell to write into. It can be
    /// written once: two local roots of one request must not decide differently, or the trace would arrive incomplete.
    ///
    /// The trace id says whose decision it is. If no trace came in, each local root under this context begins a trace of
    /// its own, and only the first one may use the cell.
    decision: OnceLock<(TraceId, Arc<Decision>)>,
}

impl RemoteTrace {
    /// Makes one from the trace to continue, if any, and the text of the foreign baggage members.
    #[must_use]
    pub fn new(incoming: Option<Incoming>, foreign: impl Into<Box<str>>) -> Self {
        Self { incoming, foreign: foreign.into(), decision: OnceLock::new() }
    }

    /// Returns the one that `extract` put into this context; `None` if this context does not come from `extract`.
    #[must_use]
    pub fn from_context(cx: &Context) -> Option<&Self> {
        cx.get::<Self>()
    }

    /// The same trace with other foreign members, for a message that is read inside an active trace.
    #[must_use]
    pub fn with_foreign(&self, foreign: impl Into<Box<str>>) -> Self {
        Self { foreign: foreign.into(), ..self.clone() }
    }

    /// What came in, if it is this trace that was continued.
    #[must_use]
    pub fn incoming(&self, trace_id: TraceId) -> Option<&Incoming> {
        self.incoming.as_ref().filter(|incoming| incoming.trace_id == trace_id)
    }

    /// The foreign baggage members, as they came in.
    pub fn foreign(&self) -> impl Iterator<Item = &str> {
        member::split(&self.foreign)
    }

    /// The decoded value of one foreign baggage member, without its properties.
    ///
    /// ```
    /// use opentelemetry::Context;
    /// use opentelemetry_sentry_protocol::RemoteTrace;
    ///
    /// fn tenant() -> Option<String> {
    ///     let cx = Context::current();
    ///     RemoteTrace::from_context(&cx)?.foreign_value("tenant").map(Into::into)
    /// }
    /// ```
    #[must_use]
    pub fn foreign_value(&self, key: &str) -> Option<Cow<'_, str>> {
        self.foreign().map(Baggage::decode_member).find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The decision about this trace, if there is one.
    #[must_use]
    pub fn decision(&self, trace_id: TraceId) -> Option<&Arc<Decision>> {
        self.decision.get().filter(|(id, _)| *id == trace_id).map(|(_, decision)| decision)
    }

    /// Stores the decision about a trace, unless there is one already. Returns whether the cell now holds the decision
    /// about `trace_id`.
    pub fn decide(&self, trace_id: TraceId, decision: &Arc<Decision>) -> bool {
        let belongs_elsewhere = self.incoming.as_ref().is_some_and(|incoming| incoming.trace_id != trace_id);
        !belongs_elsewhere && self.decision.get_or_init(|| (trace_id, Arc::clone(decision))).0 == trace_id
    }
}

/// The trace that a request continues.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Incoming {
    /// The continued trace.
    pub trace_id: TraceId,
    /// The sender's decision; `None` if it left the decision to this service.
    pub sampled: Option<bool>,
    /// The random value that every service of this trace compares with its rate.
    pub sample_rand: SampleRand,
    /// The rate at which a sampler upstream that is not Sentry's has sampled the trace; `None` if it is not known.
    pub sampled_at: Option<SampleRate>,
    /// The origin of the trace's dynamic sampling context.
    pub dsc: IncomingDsc,
}

/// The origin of the dynamic sampling context of a continued trace.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum IncomingDsc {
    /// The sender's: it is passed on unchanged. It is frozen **empty** if `sentry-trace` came without Sentry members.
    Frozen(DynamicSamplingContext),
    /// This service's own: no service upstream uses a Sentry SDK (the trace came by `traceparent`).
    Own,
}

impl Incoming {
    /// A trace that came with `sentry-trace`, and the Sentry members that came in `baggage`.
    ///
    /// A context without a valid random value gets one that agrees with the sender's decision. A context that consists
    /// of a random value alone does not count as frozen: only its value is used.
    #[must_use]
    pub fn from_sentry(trace_id: TraceId, flag: Option<bool>, dsc: Option<DynamicSamplingContext>) -> Self {
        let said = dsc.as_ref().map(DynamicSamplingContext::essentials).unwrap_or_default();
        Self::from_essentials(trace_id, flag, dsc, said, None)
    }

    /// The same for a context whose essentials are known from reading its header, and with the randomness of OpenTelemetry's
    /// `tracestate`. That is used if no random value came, and if it does not contradict what came.
    #[doc(hidden)]
    #[must_use]
    pub fn from_essentials(
        trace_id: TraceId,
        flag: Option<bool>,
        dsc: Option<DynamicSamplingContext>,
        said: Essentials,
        randomness: Option<Randomness>,
    ) -> Self {
        let dsc = dsc.unwrap_or_default();
        let sampled = flag.or(said.sampled);
        let agrees = |rand: &SampleRand| said.rate.zip(sampled).is_none_or(|(rate, is)| rand.is_below(rate) == is);
        let sample_rand = said.rand.or_else(|| randomness.map(Randomness::rand).filter(agrees));
        let sample_rand = sample_rand.unwrap_or_else(|| SampleRand::within(trace_id, said.rate, sampled));
        let dsc = match said.rand {
            Some(_) if said.has_more => IncomingDsc::Frozen(dsc),
            Some(_) => IncomingDsc::Own,
            None if said.has_more => IncomingDsc::Frozen(dsc.with("sample_rand", &sample_rand.to_string())),
            // No Sentry members, or only an invalid `sample_rand`.
            None => IncomingDsc::Frozen(DynamicSamplingContext::default()),
        };
        Self { trace_id, sampled, sample_rand, sampled_at: None, dsc }
    }

    /// A trace that came with `traceparent` alone.
    #[must_use]
    pub fn from_w3c(trace_id: TraceId, sampled: Option<bool>) -> Self {
        let sample_rand = SampleRand::from_trace_id(trace_id);
        Self { trace_id, sampled, sample_rand, sampled_at: None, dsc: IncomingDsc::Own }
    }

    /// The same with what OpenTelemetry's `tracestate` says of the trace: its randomness, and the rate of the sampler upstream.
    #[doc(hidden)]
    #[must_use]
    pub fn with_ot_state(self, state: OtState<'_>) -> Self {
        let sample_rand = state.decided_by(self.trace_id).map_or(self.sample_rand, Randomness::rand);
        let sampled_at = state.rate(self.trace_id, self.sampled == Some(true));
        Self { sample_rand, sampled_at, ..self }
    }

    /// The context to pass on; `None` if this service fills in its own.
    #[must_use]
    pub const fn frozen(&self) -> Option<&DynamicSamplingContext> {
        match &self.dsc {
            IncomingDsc::Frozen(dsc) => Some(dsc),
            IncomingDsc::Own => None,
        }
    }

    /// The rate that was applied where the trace began, if it is known.
    #[must_use]
    pub fn sample_rate(&self) -> Option<SampleRate> {
        self.frozen().map_or(self.sampled_at, DynamicSamplingContext::sample_rate)
    }
}
