//! Writes the headers of a request. The rules are in the guide, page `headers`, section "What the next service gets".

use std::{borrow::Cow, ptr, sync::Arc};

use opentelemetry::{
    Context,
    baggage::{self as otel, BaggageExt},
    propagation::Injector,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use opentelemetry_sentry_protocol::{
    __shared::{Streaming, is_visible},
    Baggage, Decision, DynamicSamplingContext, RemoteTrace, SampleRand, SentryTrace, TraceParent,
};

use crate::settings::Settings;

pub(crate) fn inject(settings: &Settings, cx: &Context, injector: &mut dyn Injector) {
    if cx.is_telemetry_suppressed() {
        return;
    }
    let span = cx.span();
    let remote = RemoteTrace::from_context(cx);
    let mut dsc = DynamicSamplingContext::default();
    if span.span_context().is_valid() {
        let (decision, context) = outgoing(settings, span.span_context(), remote);
        dsc = context;
        set_trace_headers(settings, span.span_context(), &decision, injector);
    }
    let came_in = remote.into_iter().flat_map(RemoteTrace::foreign);
    let baggage = match cx.baggage() {
        entries if entries.is_empty() => Baggage::print(&dsc, came_in.map(Cow::Borrowed)),
        entries => merged(&dsc, entries, came_in),
    };
    if !baggage.is_empty() {
        injector.set(Baggage::HEADER, baggage);
    }
}

/// The decision and the dynamic sampling context that go out with a span.
fn outgoing(
    settings: &Settings,
    span: &SpanContext,
    remote: Option<&RemoteTrace>,
) -> (Decision, DynamicSamplingContext) {
    let trace_id = span.trace_id();
    let incoming = remote.and_then(|remote| remote.incoming(trace_id));
    let decision = match settings.decisions.find(remote, trace_id).map(Arc::unwrap_or_clone) {
        Some(decision) if is_below_ignored(settings, span, &decision) => {
            Decision::ignored(incoming.and_then(|incoming| incoming.frozen()))
        }
        Some(decision) => decision,
        None => {
            let passed_on = incoming.filter(|_| span.is_remote()).map(|incoming| incoming.sampled);
            Decision::new(passed_on.unwrap_or(Some(span.is_sampled())))
        }
    };
    let frozen = decision.frozen.as_ref().or_else(|| incoming.and_then(|incoming| incoming.frozen()));
    let dsc = frozen.cloned().unwrap_or_else(|| {
        let rand = incoming.map_or_else(|| SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        settings.service.dsc(trace_id, rand, &decision)
    });
    (decision, dsc)
}

/// Whether a filter ignores the local root above this span, while another root of the trace is sampled.
fn is_below_ignored(settings: &Settings, span: &SpanContext, decision: &Decision) -> bool {
    let is_unsampled = !span.is_remote() && !span.is_sampled();
    is_unsampled && decision.sampled == Some(true) && settings.decisions.streaming().is_some_and(Streaming::has_filters)
}

fn set_trace_headers(settings: &Settings, span: &SpanContext, decision: &Decision, injector: &mut dyn Injector) {
    // An ignored span never arrives, so the next service hangs on the span above it.
    let ancestor = settings.decisions.streaming().and_then(|streaming| streaming.ancestor(span.span_id()));
    let (trace_id, span_id) = (span.trace_id(), ancestor.unwrap_or(span.span_id()));
    injector.set(SentryTrace::HEADER, SentryTrace::new(trace_id, span_id, decision.sampled).to_string());
    if !settings.traceparent {
        return;
    }
    // The headers differ only if every trace is recorded for the application's other span processors.
    let sampled = decision.sampled == Some(true) || decision.recorded;
    injector.set(TraceParent::HEADER, TraceParent::new(trace_id, span_id, sampled).to_string());
    let state = tracestate(span.trace_state());
    // OpenTelemetry's type accepts any character in a value, so a line break would be sent.
    if !state.is_empty() && is_visible(&state) {
        injector.set(TraceParent::STATE_HEADER, state);
    }
}

/// The same text as `TraceState::header`, with a single allocation.
fn tracestate(state: &TraceState) -> String {
    let length = state.into_iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let mut text = String::with_capacity(length);
    for (key, value) in state {
        let comma = if text.is_empty() { "" } else { "," };
        text.extend([comma, key, "=", value]);
    }
    text
}

/// The header with the members that came in, and the OpenTelemetry `Baggage` of the context merged in.
///
/// An entry of the context replaces the members with the same key. If value and properties are the same, as `extract`
/// has put them there, the texts that came in go out unchanged. Entries for Sentry's members are ignored: the
/// application must not override them.
fn merged<'a>(
    dsc: &'a DynamicSamplingContext,
    entries: &'a otel::Baggage,
    came_in: impl Iterator<Item = &'a str>,
) -> String {
    let mut decoded = Vec::with_capacity(entries.len());
    decoded.extend(came_in.map(|member| (member, Baggage::decode_member(member))));
    let last = |key: &str| decoded.iter().rfind(|(_, (other, _))| other == key);
    let passed_on = decoded.iter().filter_map(|(member, (key, _))| {
        let own = entries.get_with_metadata(&**key).filter(|_| !is_sentry(key));
        // Of members that differ only in how their key is escaped, the context has the last.
        match own.zip(last(key)) {
            Some(((new, properties), (last, (_, value)))) if value != new.as_str() || has_new(properties, last) => {
                let changed = || Cow::Owned(Baggage::change_member(member, new.as_str(), properties.as_str()));
                ptr::eq(*member, *last).then(changed)
            }
            _ => Some(Cow::Borrowed(*member)),
        }
    });
    let mut added: Vec<_> =
        entries.iter().filter(|(key, _)| !is_sentry(key.as_str()) && last(key.as_str()).is_none()).collect();
    added.sort_unstable_by_key(|(key, _)| *key);
    let added = added.into_iter().map(|(key, (value, properties))| {
        Cow::Owned(Baggage::encode_member(key.as_str(), value.as_str(), properties.as_str()))
    });
    Baggage::print(dsc, passed_on.chain(added))
}

fn is_sentry(key: &str) -> bool {
    key.starts_with("sentry-")
}

/// Whether the application has set other properties than those of the member. None at all are as good as the same.
fn has_new(properties: &otel::BaggageMetadata, member: &str) -> bool {
    let (own, came_in) = (properties.as_str(), Baggage::properties(member));
    !own.is_empty() && own != came_in && !own.split(';').map(str::trim).eq(came_in.split(';').map(str::trim))
}
