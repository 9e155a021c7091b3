//! One check per fuzz target. It panics if a law does not hold.

use std::collections::HashMap;

use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sentry_propagator::SentryPropagator;
use opentelemetry_sentry_protocol::{Baggage, Dsn, DynamicSamplingContext, SentryTrace, TraceParent};

/// A fuzz target: its name, which is also the name of its folder in the corpus and of its file, and its check.
pub type Target = (&'static str, fn(&[u8]));

/// All fuzz targets.
pub const TARGETS: [Target; 6] = [
    ("baggage", baggage),
    ("dsn", dsn),
    ("dynamic_sampling_context", dynamic_sampling_context),
    ("extract", extract),
    ("sentry_trace", sentry_trace),
    ("traceparent", traceparent),
];

/// An accepted `sentry-trace` is printed as a header that is read as the same value.
pub fn sentry_trace(input: &[u8]) {
    if let Ok(header) = text(input).parse::<SentryTrace>() {
        assert_eq!(header.to_string().parse(), Ok(header));
    }
}

/// An accepted `traceparent` is printed as a header that is read as the same value.
pub fn traceparent(input: &[u8]) {
    if let Ok(header) = text(input).parse::<TraceParent>() {
        assert_eq!(header.to_string().parse(), Ok(header));
    }
}

/// Header lines of `baggage`, one per line of the input: the printed header keeps the limits and is read as the same
/// value.
pub fn baggage(input: &[u8]) {
    let printed = Baggage::parse(text(input).split('\n')).to_string();
    assert_is_baggage(&printed);
    let read = Baggage::parse([printed.as_str()]);
    assert_eq!(read.to_string(), printed);
    assert_eq!(Baggage::parse([read.to_string().as_str()]), read);
}

/// An accepted DSN is printed without its secret, as a DSN with the same URL, key and project.
pub fn dsn(input: &[u8]) {
    let Ok(dsn) = text(input).parse::<Dsn>() else { return };
    let printed = dsn.to_string();
    let read: Dsn = printed.parse().expect("a printed DSN is one");
    assert_eq!(read.to_string(), printed);
    assert_eq!(
        (read.envelope_url(), read.public_key(), read.project_id()),
        (dsn.envelope_url(), dsn.public_key(), dsn.project_id())
    );
    assert_eq!(read.secret_key(), None);
}

/// A sampling context is printed as visible ASCII and read as the same value, and can be made from its decoded entries.
pub fn dynamic_sampling_context(input: &[u8]) {
    let Ok(dsc) = text(input).parse::<DynamicSamplingContext>();
    let printed = dsc.to_string();
    assert_is_baggage(&printed);
    assert_eq!(printed.parse(), Ok(dsc.clone()));
    let entries: Vec<_> = dsc.iter().collect();
    for (key, value) in &entries {
        assert_eq!(dsc.get(key).as_ref(), Some(value), "{key}");
    }
    let made = DynamicSamplingContext::from_entries(entries.iter().map(|(key, value)| (&**key, &**value)));
    assert_eq!(made.iter().collect::<Vec<_>>(), entries);
}

/// Header lines, `name: value` each: the headers that are injected from the extracted context are valid, keep the limits,
/// agree with each other, and continue the extracted trace.
pub fn extract(input: &[u8]) {
    let text = text(input);
    let lines = Lines(text.split('\n').filter_map(|line| line.split_once(": ")).collect());
    for propagator in propagators() {
        let cx = propagator.extract_with_context(&Context::new(), &lines);
        let mut headers = HashMap::new();
        propagator.inject_context(&cx, &mut headers);
        assert!(headers.values().all(|value| is_visible(value)), "{headers:?}");
        assert_is_baggage(headers.get(Baggage::HEADER).map_or("", String::as_str));
        assert_eq!(headers.contains_key(SentryTrace::HEADER), cx.span().span_context().is_valid());
        let sentry = headers.get(SentryTrace::HEADER).map(|header| header.parse().expect("it was printed"));
        let w3c = headers.get(TraceParent::HEADER).map(|header| header.parse().expect("it was printed"));
        assert_agree(sentry, w3c);
        let again = propagator.extract_with_context(&Context::new(), &headers);
        assert_eq!(again.span().span_context().trace_id(), cx.span().span_context().trace_id());
    }
}

/// The default propagator, and the strictest one.
fn propagators() -> [SentryPropagator; 2] {
    let strict = SentryPropagator::builder()
        .with_dsn("https://public@o1.ingest.sentry.io/1")
        .with_strict_trace_continuation(true)
        .with_undecided_traceparent(true);
    [SentryPropagator::new(), strict.build().expect("the DSN is valid")]
}

fn assert_agree(sentry: Option<SentryTrace>, w3c: Option<TraceParent>) {
    let sentry = sentry.map(|header| (header.trace_id(), header.span_id(), header.sampled() == Some(true)));
    let w3c = w3c.map(|header| (header.trace_id(), header.span_id(), header.is_sampled()));
    assert_eq!(sentry, w3c);
}

fn assert_is_baggage(header: &str) {
    assert!(header.len() <= Baggage::MAX_BYTES, "{} bytes", header.len());
    let members = header.split(',').count();
    assert!(members <= Baggage::MAX_MEMBERS, "{members} members");
    assert!(is_visible(header), "{header:?}");
    assert!(header.is_empty() || header.split(',').all(|member| member.contains('=')), "{header:?}");
}

/// Whether it is valid as a header's value.
fn is_visible(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The input as text. An `Extractor` returns only UTF-8, so other bytes are replaced.
fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

/// Headers with several lines of a name, as a request has them.
struct Lines<'a>(Vec<(&'a str, &'a str)>);

impl Extractor for Lines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let lines = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key));
        let values: Vec<_> = lines.map(|(_, value)| *value).collect();
        (!values.is_empty()).then_some(values)
    }
}
