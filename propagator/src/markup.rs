//! The trace in pages: `<meta>` elements or a `Server-Timing` header. The rules are in the guide, page `headers`,
//! section "Pages".

use std::{collections::HashMap, fmt::Write as _};

use opentelemetry::{Context, global};
use opentelemetry_sentry_protocol::{Baggage, SentryTrace, TraceParent};

/// The `<meta>` elements for the `<head>` of a page: the browser's SDK reads them and continues the trace.
///
/// The text has one line for each of `sentry-trace`, `baggage` and `traceparent` that the **global** propagator writes for
/// the span of this context; it is empty if the propagator writes no `sentry-trace`. `baggage` contains only Sentry's members.
///
/// ```
/// use opentelemetry::Context;
/// use opentelemetry_sentry_propagator::meta_tags;
///
/// let page = format!("<html><head>{}</head></html>", meta_tags(&Context::current()));
/// ```
#[must_use]
pub fn meta_tags(cx: &Context) -> String {
    let mut tags = String::new();
    for (name, value) in values(cx) {
        let newline = if tags.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(tags, "{newline}<meta name=\"{name}\" content=\"{}\"/>", escaped_html(&value));
    }
    tags
}

/// The value of a `Server-Timing` header with `sentry-trace` and `baggage`, for pages that cannot be changed. The browser's
/// SDK reads it as well.
///
/// `None` if the **global** propagator writes no `sentry-trace` for the span of this context.
///
/// ```
/// use opentelemetry::Context;
/// use opentelemetry_sentry_propagator::server_timing;
///
/// assert_eq!(server_timing(&Context::new()), None);
/// ```
#[must_use]
pub fn server_timing(cx: &Context) -> Option<String> {
    let values = values(cx).into_iter().filter(|(name, _)| *name != TraceParent::HEADER);
    let entries: Vec<_> = values.map(|(name, value)| format!("{name};desc=\"{}\"", escaped_quotes(&value))).collect();
    (!entries.is_empty()).then(|| entries.join(", "))
}

/// The headers for the browser. Foreign baggage is left out: it is meant for services, and must not appear in a page.
fn values(cx: &Context) -> Vec<(&'static str, String)> {
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(cx, &mut headers));
    if let Some(baggage) = headers.remove(Baggage::HEADER) {
        let own = Baggage::parse([baggage.as_str()]).into_dsc().map(|dsc| dsc.to_string());
        headers.extend(own.map(|own| (Baggage::HEADER.to_owned(), own)));
    }
    if !headers.contains_key(SentryTrace::HEADER) {
        return Vec::new();
    }
    let names = [SentryTrace::HEADER, Baggage::HEADER, TraceParent::HEADER];
    names.into_iter().filter_map(|name| Some((name, headers.remove(name)?))).collect()
}

fn escaped_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Escapes a text for a quoted string of HTTP.
fn escaped_quotes(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
