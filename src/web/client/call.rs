//! The span of one outgoing request, from its start to its end.

use std::{borrow::Cow, iter};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use opentelemetry::{
    Context, KeyValue, global,
    trace::{SpanBuilder, SpanKind},
};
use opentelemetry_http::HeaderInjector;
use opentelemetry_sentry_propagator::PropagationTargets;
use opentelemetry_sentry_protocol::{Baggage, SentryTrace};
use opentelemetry_sentry_semantics::semconv;

use crate::web::{method, span::OpenSpan};

/// Starts the span and sets the headers. Returns `None` where telemetry is suppressed.
pub(super) fn start(
    targets: &PropagationTargets,
    method: &Method,
    uri: &Uri,
    headers: &mut HeaderMap,
) -> Option<OpenSpan> {
    let parent = Context::current();
    if parent.is_telemetry_suppressed() {
        return None;
    }
    let url = without_user_info(uri);
    let open = OpenSpan::start(span(method, uri, &url), &parent);
    // A caller that sets its own trace knows why.
    let is_target = if uri.host().is_some() { targets.matches(&url) } else { targets.matches_unknown() };
    if is_target && !headers.contains_key(SentryTrace::HEADER) {
        inject(open.context(), headers);
    }
    Some(open)
}

/// Sets the headers of a trace. The members of a `baggage` that the request has stay, except Sentry's.
fn inject(cx: &Context, headers: &mut HeaderMap) {
    let own: Vec<_> = headers.get_all(Baggage::HEADER).into_iter().cloned().collect();
    headers.remove(Baggage::HEADER);
    global::get_text_map_propagator(|propagator| propagator.inject_context(cx, &mut HeaderInjector(headers)));
    if own.is_empty() {
        return;
    }
    let Some(ours) = headers.get(Baggage::HEADER).and_then(|value| value.to_str().ok()) else {
        for line in own {
            headers.append(Baggage::HEADER, line);
        }
        return;
    };
    let dsc = Baggage::parse([ours]).into_dsc().unwrap_or_default();
    let both = Baggage::parse(iter::once(ours).chain(own.iter().filter_map(|line| line.to_str().ok())));
    if let Ok(value) = HeaderValue::try_from(Baggage::print(&dsc, both.foreign().map(Cow::Borrowed))) {
        headers.insert(Baggage::HEADER, value);
    }
    // What cannot be read cannot be merged.
    for line in own.into_iter().filter(|line| line.to_str().is_err()) {
        headers.append(Baggage::HEADER, line);
    }
}

fn span(method: &Method, uri: &Uri, url: &str) -> SpanBuilder {
    let mut attributes: Vec<_> = method::attributes(method).collect();
    // Without a host this is only a path: another part of the client knows where the request goes.
    if let Some(host) = uri.host() {
        attributes.push(KeyValue::new(semconv::URL_FULL, url.to_owned()));
        attributes.push(KeyValue::new(semconv::SERVER_ADDRESS, host.trim_matches(['[', ']']).to_owned()));
        attributes.extend(port(uri).map(|port| KeyValue::new(semconv::SERVER_PORT, i64::from(port))));
    }
    SpanBuilder::from_name(method::name(method).to_owned()).with_kind(SpanKind::Client).with_attributes(attributes)
}

/// Ends the span of a request that got a response.
pub(super) fn answered(open: OpenSpan, status: StatusCode) {
    open.span().set_attribute(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16())));
    if status.is_client_error() || status.is_server_error() {
        open.span().set_attribute(KeyValue::new(semconv::ERROR_TYPE, status.as_str().to_owned()));
        // No description: the status code is in an attribute.
        open.fail("");
    }
    open.end();
}

/// Ends the span of a request that got no response.
pub(super) fn failed(open: OpenSpan, error_type: &'static str, message: String) {
    open.span().set_attribute(KeyValue::new(semconv::ERROR_TYPE, error_type));
    open.fail(message);
    open.end();
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

fn without_user_info(uri: &Uri) -> String {
    let url = uri.to_string();
    match uri.authority().map(|authority| authority.as_str()) {
        Some(authority) => match authority.rsplit_once('@') {
            Some((_, place)) => url.replacen(authority, place, 1),
            None => url,
        },
        None => url,
    }
}
