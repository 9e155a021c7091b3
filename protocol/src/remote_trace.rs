//! What a `Context` carries from `extract` to the sampler and to `inject`.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use opentelemetry::{Context, TraceId};

use crate::{Baggage, Decision, DynamicSamplingContext, SampleRand, SampleRate};

/// What came in with a request, and a cell for what is decided about it.
///
/// `extract` puts one into the `Context` of every request, also when no header came. The sampler reads
/// [`incoming`](Self::incoming) and fills the cell once; children and `inject` read it.
///
/// It belongs to **one** trace: the one that was continued, or the first that began under its `Context`. Every
/// accessor takes the trace id of the asking span, so that a second root under the same `Context` never sees the
/// first one's values.
#[derive(Clone, Debug, Default)]
pub struct RemoteTrace {
    incoming: Option<Incoming>,
    foreign: Box<str>,
    decision: OnceLock<(TraceId, Arc<Decision>)>,
}

impl RemoteTrace {
    /// Makes one from what came in: the trace to continue, if any, and the text of the foreign baggage members.
    #[must_use]
    pub fn new(incoming: Option<Incoming>, foreign: impl Into<Box<str>>) -> Self {
        Self { incoming, foreign: foreign.into(), decision: OnceLock::new() }
    }

    /// The one that `extract` put into this context, if any did.
    #[must_use]
    pub fn from_context(cx: &Context) -> Option<&Self> {
        cx.get::<Self>()
    }

    /// The same trace with other foreign members, for a message that is read inside of a trace that goes on.
    #[must_use]
    pub fn with_foreign(&self, foreign: impl Into<Box<str>>) -> Self {
        Self { foreign: foreign.into(), ..self.clone() }
    }

    /// What came in for this trace.
    #[must_use]
    pub fn incoming(&self, trace_id: TraceId) -> Option<&Incoming> {
        self.incoming.as_ref().filter(|incoming| incoming.trace_id == trace_id)
    }

    /// The foreign baggage members, as they came.
    pub fn foreign(&self) -> impl Iterator<Item = &str> {
        self.foreign.split(',').filter(|member| !member.is_empty())
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

    /// What was decided for this trace.
    #[must_use]
    pub fn decision(&self, trace_id: TraceId) -> Option<&Arc<Decision>> {
        self.decision.get().filter(|(id, _)| *id == trace_id).map(|(_, decision)| decision)
    }

    /// Notes the decision for a trace. The first one stays; returns whether the cell now holds one for `trace_id`.
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
    /// The sender's decision; `None` when it left the decision to us.
    pub sampled: Option<bool>,
    /// The random value that everyone in this trace compares with their rate.
    pub sample_rand: SampleRand,
    /// Whose dynamic sampling context this trace has.
    pub dsc: IncomingDsc,
}

/// Whose dynamic sampling context a continued trace has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum IncomingDsc {
    /// The sender's, to be passed on as it is. It is frozen **empty** when `sentry-trace` came without any.
    Frozen(DynamicSamplingContext),
    /// Ours: nobody upstream was a Sentry SDK (the trace came by `traceparent`).
    Own,
}

impl Incoming {
    /// A trace that came with `sentry-trace`, and the Sentry members that came in `baggage`.
    ///
    /// A context without a valid random value gets one that explains the sender's decision. A context that consists
    /// of a random value alone is not a frozen one: only that value is taken.
    #[must_use]
    pub fn from_sentry(trace_id: TraceId, flag: Option<bool>, dsc: Option<DynamicSamplingContext>) -> Self {
        let dsc = dsc.unwrap_or_default();
        let said = dsc.sampling();
        let sampled = flag.or(said.sampled);
        let sample_rand = said.rand.unwrap_or_else(|| SampleRand::within(trace_id, said.rate, sampled));
        let dsc = match said.rand {
            Some(_) if said.has_more => IncomingDsc::Frozen(dsc),
            Some(_) => IncomingDsc::Own,
            None if said.has_more => IncomingDsc::Frozen(dsc.with("sample_rand", &sample_rand.to_string())),
            // Nothing, or nothing but a random value that is none.
            None => IncomingDsc::Frozen(DynamicSamplingContext::default()),
        };
        Self { trace_id, sampled, sample_rand, dsc }
    }

    /// A trace that came with `traceparent` alone.
    #[must_use]
    pub fn from_w3c(trace_id: TraceId, sampled: Option<bool>) -> Self {
        Self { trace_id, sampled, sample_rand: SampleRand::from_trace_id(trace_id), dsc: IncomingDsc::Own }
    }

    /// The context to pass on; `None` when this service fills in its own.
    #[must_use]
    pub const fn frozen(&self) -> Option<&DynamicSamplingContext> {
        match &self.dsc {
            IncomingDsc::Frozen(dsc) => Some(dsc),
            IncomingDsc::Own => None,
        }
    }

    /// The rate that the head of the trace applied, if it said so.
    #[must_use]
    pub fn sample_rate(&self) -> Option<SampleRate> {
        self.frozen()?.sample_rate()
    }
}
