//! Reads the headers of a request. The rules are in the guide, page `headers`, section "What a request continues".

use opentelemetry::{
    Context, Key, StringValue, TraceFlags,
    baggage::{BaggageExt, BaggageMetadata, KeyValueMetadata},
    propagation::Extractor,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sentry_protocol::{
    __shared::is_visible, Baggage, DynamicSamplingContext, Essentials, Incoming, OtState, RemoteTrace, SentryTrace,
    TraceParent,
};

use crate::settings::Settings;

pub(crate) fn extract(settings: &Settings, cx: &Context, extractor: &dyn Extractor) -> Context {
    let (baggage, essentials) = Baggage::read(lines(extractor, Baggage::HEADER));
    let (dsc, foreign) = baggage.into_parts();
    match continued(settings, extractor, dsc, essentials) {
        Verdict::Continue(span_context, incoming) => {
            with_remote(&cx.with_remote_span_context(span_context), RemoteTrace::new(Some(incoming), foreign))
        }
        Verdict::New => unlinked(cx, foreign),
        // Another propagator may have put the rejected trace into the context already.
        Verdict::Rejected if cx.span().span_context().is_remote() => {
            unlinked(&cx.with_remote_span_context(SpanContext::empty_context()), foreign)
        }
        Verdict::Rejected => unlinked(cx, foreign),
    }
}

/// What the headers say about the trace.
enum Verdict {
    Continue(SpanContext, Incoming),
    New,
    /// The headers are valid, but their trace must not be continued.
    Rejected,
}

fn continued(
    settings: &Settings,
    extractor: &dyn Extractor,
    dsc: Option<DynamicSamplingContext>,
    essentials: Essentials,
) -> Verdict {
    let sentry = sentry_trace(extractor);
    // Beside a `sentry-trace`, `traceparent` only says whether `tracestate` belongs to the same trace.
    let states = || lines(extractor, TraceParent::STATE_HEADER);
    let (w3c, states) = match sentry {
        Some(_) => match states() {
            states if states.is_empty() => (None, states),
            states => (traceparent(settings, extractor), states),
        },
        None => match traceparent(settings, extractor) {
            Some(w3c) => (Some(w3c), states()),
            None => return Verdict::New,
        },
    };
    if !may_continue(settings.strict, essentials.org_id(), settings.service.org_id()) {
        return Verdict::Rejected;
    }
    let Some((trace_id, span_id)) =
        sentry.map(|header| (header.trace_id(), header.span_id())).or(w3c.map(|w3c| (w3c.trace_id(), w3c.span_id())))
    else {
        return Verdict::New;
    };
    let state = w3c.filter(|w3c| w3c.trace_id() == trace_id).map(|_| tracestate(&states)).unwrap_or_default();
    let ot = state.get(OtState::KEY).map(OtState::read);
    let incoming = match (sentry, w3c) {
        (Some(sentry), _) => {
            let randomness = ot.and_then(|ot| ot.decided_by(trace_id));
            Incoming::from_essentials(trace_id, sentry.sampled(), dsc, essentials, randomness)
        }
        (None, w3c) => {
            let is_sampled = w3c.is_some_and(|w3c| w3c.is_sampled());
            let undecided = settings.undecided_traceparent && !is_sampled;
            let incoming = Incoming::from_w3c(trace_id, (!undecided).then_some(is_sampled));
            ot.into_iter().fold(incoming, Incoming::with_ot_state)
        }
    };
    let flags = TraceFlags::default().with_sampled(incoming.sampled == Some(true));
    Verdict::Continue(SpanContext::new(trace_id, span_id, flags, true, state), incoming)
}

/// A context in which no remote trace is continued: a new trace begins, or the active one goes on.
fn unlinked(cx: &Context, foreign: String) -> Context {
    match RemoteTrace::from_context(cx).filter(|_| cx.span().span_context().is_valid()) {
        Some(_) if foreign.is_empty() => cx.clone(),
        Some(active) => with_remote(cx, active.with_foreign(foreign)),
        None => with_remote(cx, RemoteTrace::new(None, foreign)),
    }
}

/// A context with what came in, whose foreign members the application reads as OpenTelemetry's `Baggage`.
fn with_remote(cx: &Context, remote: RemoteTrace) -> Context {
    if remote.foreign().next().is_none() && cx.baggage().is_empty() {
        return cx.with_value(remote);
    }
    // What came in with a request around this one was for that one. Otherwise it would go out as the application's own.
    let outer: Vec<_> = RemoteTrace::from_context(cx).into_iter().flat_map(RemoteTrace::foreign).collect();
    let is_own = |(key, (value, _)): &(&Key, &(StringValue, BaggageMetadata))| {
        !outer.iter().any(|member| Baggage::decode_member(member) == (key.as_str().into(), value.as_str().into()))
    };
    let own = cx
        .baggage()
        .iter()
        .filter(is_own)
        .map(|(key, (value, properties))| KeyValueMetadata::new(key.clone(), value.clone(), properties.as_str()));
    let came_in = remote.foreign().map(|member| {
        let (key, value) = Baggage::decode_member(member);
        KeyValueMetadata::new(key.into_owned(), value.into_owned(), Baggage::properties(member))
    });
    cx.with_baggage(own.chain(came_in)).with_value(remote)
}

/// Whether the sender's organisation allows its trace to be continued ([strict trace continuation]).
///
/// [strict trace continuation]: https://develop.sentry.dev/sdk/foundations/trace-propagation/#strict-trace-continuation
fn may_continue(strict: bool, theirs: Option<u64>, ours: Option<u64>) -> bool {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) => theirs == ours,
        (None, None) => true,
        _ => !strict,
    }
}

/// The first valid `sentry-trace`, of all lines and of the values in a line that a proxy has joined.
fn sentry_trace(extractor: &dyn Extractor) -> Option<SentryTrace> {
    let first = extractor.get(SentryTrace::HEADER)?.parse().ok();
    let all = || lines(extractor, SentryTrace::HEADER).into_iter().flat_map(|line| line.split(','));
    first.or_else(|| all().find_map(|value| value.trim().parse().ok()))
}

/// The `traceparent`, if it is valid and there is only one.
fn traceparent(settings: &Settings, extractor: &dyn Extractor) -> Option<TraceParent> {
    match lines(extractor, TraceParent::HEADER).as_slice() {
        [line] if settings.traceparent => line.parse().ok(),
        _ => None,
    }
}

/// The `tracestate` from all its lines. If any member is invalid, all are dropped, as W3C demands.
fn tracestate(lines: &[&str]) -> TraceState {
    // OpenTelemetry's type accepts any character in a value, so a line break would be passed on.
    if !lines.iter().all(|line| is_visible(line)) {
        return TraceState::default();
    }
    let members = lines.iter().flat_map(|line| line.split(',')).map(str::trim_ascii);
    // Map a member without `=` to an invalid pair, so that the whole header is rejected.
    let pairs = members.filter(|member| !member.is_empty()).map(|member| member.split_once('=').unwrap_or(("=", "=")));
    TraceState::from_key_value(pairs).unwrap_or_default()
}

fn lines<'a>(extractor: &'a dyn Extractor, name: &str) -> Vec<&'a str> {
    extractor.get_all(name).unwrap_or_default()
}
