//! The `tracestate` of a local root. The rules are in the guide, page `sampling`, section "A second back end".

use opentelemetry::{TraceId, trace::TraceState};
use opentelemetry_sentry_protocol::{Decision, Incoming, OtState, Randomness, SampleRand, SampleRate, Threshold};

/// The most characters of all members together that every implementation must pass on.
const MAX_LENGTH: usize = 512;

/// The most members.
const MAX_MEMBERS: usize = 32;

/// A local root whose trace was decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) decision: &'a Decision,
    pub(crate) incoming: Option<&'a Incoming>,
    /// Whether every trace is recorded, whatever is decided for Sentry.
    pub(crate) records_all: bool,
}

/// The trace state with OpenTelemetry's threshold and randomness of a decision. `None` if the parent's stays as it is.
///
/// What came in with them is always kept true. `adds` says whether they are added to a trace that came without.
pub(crate) fn updated(parent: &TraceState, decided: Decided<'_>, adds: bool) -> Option<TraceState> {
    let text = parent.get(OtState::KEY);
    if (text.is_none() && !adds) || decided.is_left_to_others() {
        return None;
    }
    let ot = OtState::read(text.unwrap_or_default());
    // What came in stays as it is: services beside this one decide by it.
    let came_in = ot.decided_by(decided.trace_id);
    let added = if came_in.is_none() && adds { decided.new_randomness() } else { None };
    let is_true = |threshold: &Threshold| {
        came_in.or(added).is_some_and(|randomness| threshold.keeps(randomness) == decided.decision.recorded)
    };
    let threshold = decided.threshold(ot, adds).filter(is_true);
    let value = ot.with(threshold, ot.randomness().or(added))?;
    with_member(parent, text, value)
}

impl Decided<'_> {
    /// Whether tracing is off here, so that nothing is recorded and the decision of another service is passed on.
    fn is_left_to_others(&self) -> bool {
        self.decision.sampled != Some(false) && !self.decision.recorded
    }

    /// The randomness of a trace that came without: the random value by which this service has decided, or one with Sentry
    /// before it. `None` if another service has decided in a way that is not known.
    fn new_randomness(&self) -> Option<Randomness> {
        let Self { trace_id, decision, incoming, .. } = self;
        let is_known = decision.sample_rate.is_some() || incoming.is_none_or(|incoming| incoming.frozen().is_some());
        let rand = incoming.map_or_else(|| SampleRand::from_trace_id(*trace_id), |incoming| incoming.sample_rand);
        is_known.then(|| Randomness::of(rand, self.rate()))
    }

    /// The rate at which the trace was decided, here or by a service upstream.
    fn rate(&self) -> Option<SampleRate> {
        self.decision.sample_rate.or_else(|| self.incoming.and_then(Incoming::sample_rate))
    }

    /// The threshold of the rate at which spans are recorded; `None` if it is not known, or if they are not.
    fn threshold(&self, ot: OtState<'_>, adds: bool) -> Option<Threshold> {
        if self.records_all {
            return Threshold::of(SampleRate::ALL);
        }
        match self.decision.sample_rate {
            // As it came in: a rate can have less digits than a threshold.
            Some(rate) if ot.threshold().is_some_and(|threshold| threshold.rate() == rate) => ot.threshold(),
            Some(rate) => Threshold::of(rate).filter(|_| self.decision.recorded),
            // Another service has decided. A service with Sentry says in the context at which rate.
            None => ot.threshold().or_else(|| {
                let rate = self.rate().filter(|_| adds && self.decision.recorded);
                rate.and_then(Threshold::of)
            }),
        }
    }
}

/// The state with this value of the member `ot`, at the beginning, as W3C wants it of a member that changes. The other members
/// are not ours to remove: where there is no room for `ot`, it is not added, and one that came in loses its threshold.
fn with_member(parent: &TraceState, old: Option<&str>, value: String) -> Option<TraceState> {
    let others = without_ot(parent)?;
    let length: usize = (&others).into_iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    // The last one has no comma.
    let has_room = length + OtState::KEY.len() + value.len() < MAX_LENGTH;
    let has_place = old.is_some() || (&others).into_iter().count() < MAX_MEMBERS;
    let is_longer = value.len() > old.map_or(0, str::len);
    let value = if has_place && (has_room || !is_longer) {
        value
    } else {
        let ot = OtState::read(old?);
        ot.with(None, ot.randomness())?
    };
    if value.is_empty() { Some(others) } else { others.insert(OtState::KEY, value).ok() }
}

/// The other members. W3C allows a key once; of several that came in, the next would take the place of the first.
fn without_ot(parent: &TraceState) -> Option<TraceState> {
    let mut others = parent.delete(OtState::KEY).ok()?;
    while others.get(OtState::KEY).is_some() {
        others = others.delete(OtState::KEY).ok()?;
    }
    Some(others)
}
