//! The method of a request, as spans have it.

use http::Method;
use opentelemetry::KeyValue;
use opentelemetry_sentry_semantics::semconv;

const METHOD_ORIGINAL: &str = "http.request.method_original";

/// The method to report for any that HTTP does not define. A caller could otherwise create any number of values.
const OTHER: &str = "_OTHER";

/// The methods that HTTP defines (RFC 9110 and RFC 5789).
const KNOWN: [Method; 9] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::HEAD,
    Method::PATCH,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

/// The method as it appears in names: `HTTP` for any that HTTP does not define.
pub(super) fn name(method: &Method) -> &str {
    if KNOWN.contains(method) { method.as_str() } else { "HTTP" }
}

/// The attributes of a method.
pub(super) fn attributes(method: &Method) -> impl Iterator<Item = KeyValue> {
    let is_known = KNOWN.contains(method);
    let text = method.to_string();
    let (reported, original) = if is_known { (text, None) } else { (OTHER.to_owned(), Some(text)) };
    [(semconv::HTTP_REQUEST_METHOD, Some(reported)), (METHOD_ORIGINAL, original)]
        .into_iter()
        .filter_map(|(key, value)| Some(KeyValue::new(key, value?)))
}
