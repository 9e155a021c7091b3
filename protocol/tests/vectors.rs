//! The wire cases of `tests/vectors/*.json`, one test per file; their README describes the shapes.

use std::{fmt, marker::PhantomData};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sentry_protocol::{
    Baggage, Dsn, DynamicSamplingContext, SampleRand, SampleRate, SentryTrace, TraceParent,
};
use opentelemetry_sentry_vectors::{TextOr, each};
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};

#[derive(Deserialize)]
struct HeaderCase {
    input: String,
    sampled: Option<bool>,
    trace_id: Option<String>,
    span_id: Option<String>,
    error: Option<String>,
}

#[test]
fn sentry_trace() {
    each("sentry_trace", |case: &HeaderCase| {
        let result = case.input.parse::<SentryTrace>();
        if let Some(part) = &case.error {
            return assert_rejected(result, part);
        }
        let header = result.unwrap();
        assert_eq!(header.sampled(), case.sampled);
        assert_eq!(Some(header.trace_id().to_string()), case.trace_id);
        assert_eq!(Some(header.span_id().to_string()), case.span_id);
        assert_eq!(header.to_string().parse(), Ok(header));
    });
}

#[test]
fn sentry_trace_print() {
    #[derive(Deserialize)]
    struct Case {
        trace_id: String,
        span_id: String,
        sampled: Option<bool>,
        expected: String,
    }
    each("sentry_trace_print", |case: &Case| {
        let span_id = SpanId::from_hex(&case.span_id).unwrap();
        let header = SentryTrace::new(trace_id(&case.trace_id), span_id, case.sampled);
        assert_eq!(header.to_string(), case.expected);
    });
}

#[test]
fn traceparent() {
    each("traceparent", |case: &HeaderCase| {
        let result = case.input.parse::<TraceParent>();
        if let Some(part) = &case.error {
            return assert_rejected(result, part);
        }
        let header = result.unwrap();
        assert_eq!(Some(header.is_sampled()), case.sampled);
        assert_eq!(Some(header.trace_id().to_string()), case.trace_id);
        assert_eq!(Some(header.span_id().to_string()), case.span_id);
        let flags = if header.is_sampled() { "01" } else { "00" };
        let expected = format!("00-{}-{}-{flags}", header.trace_id(), header.span_id());
        assert_eq!(header.to_string(), expected);
    });
}

#[test]
fn baggage_parse() {
    #[derive(Deserialize)]
    struct Case {
        lines: Vec<String>,
        dsc: Option<Entries<String>>,
        foreign: Vec<String>,
    }
    each("baggage_parse", |case: &Case| {
        let baggage = parse(&case.lines);
        assert_eq!(baggage.dsc().map(entries), case.dsc.as_ref().map(|dsc| dsc.0.clone()));
        assert_eq!(baggage.foreign().collect::<Vec<_>>(), case.foreign);
        for (key, value) in case.dsc.iter().flat_map(|dsc| &dsc.0) {
            assert_eq!(baggage.dsc().unwrap().get(key).as_deref(), Some(value.as_str()));
        }
    });
}

#[test]
fn baggage_encode() {
    #[derive(Deserialize)]
    struct Case {
        value: String,
        encoded: String,
    }
    each("baggage_encode", |case: &Case| {
        let dsc = DynamicSamplingContext::from_entries([("release", case.value.as_str())]);
        assert_eq!(dsc.to_string(), format!("sentry-release={}", case.encoded));
        let read: DynamicSamplingContext = dsc.to_string().parse().unwrap();
        assert_eq!(read.get("release").as_deref(), Some(case.value.as_str()));
    });
}

#[test]
fn baggage_print() {
    #[derive(Deserialize)]
    struct Case {
        sentry: Entries<Text>,
        foreign: Vec<Member>,
        expected: TextOr<Vec<Member>>,
    }
    each("baggage_print", |case: &Case| {
        let sentry: Vec<_> = case.sentry.0.iter().map(|(key, value)| (key, expand(value))).collect();
        let dsc =
            DynamicSamplingContext::from_entries(sentry.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let mut lines = vec![dsc.to_string()];
        lines.extend(case.foreign.iter().flat_map(expand_member));
        let expected = match &case.expected {
            TextOr::Text(header) => header.clone(),
            TextOr::Other(members) => members.iter().flat_map(expand_member).collect::<Vec<_>>().join(","),
        };
        let printed = parse(&lines).to_string();
        assert!(printed == expected, "{} bytes, not {}: {printed:.200}", printed.len(), expected.len());
    });
}

#[test]
fn dsn() {
    #[derive(Deserialize)]
    struct Case {
        input: String,
        envelope_url: Option<String>,
        public_key: Option<String>,
        secret: Option<bool>,
        org_id: Option<u64>,
        project_id: Option<u64>,
        error: Option<String>,
    }
    each("dsn", |case: &Case| {
        let result = case.input.parse::<Dsn>();
        if let Some(part) = &case.error {
            return assert_rejected(result, part);
        }
        let dsn = result.unwrap();
        assert_eq!(Some(dsn.envelope_url()), case.envelope_url);
        assert_eq!(Some(dsn.public_key()), case.public_key.as_deref());
        assert_eq!(dsn.secret_key(), case.secret.unwrap().then_some("secret"));
        assert_eq!(dsn.org_id(), case.org_id);
        assert_eq!(Some(dsn.project_id()), case.project_id);
        let otlp_url = dsn.envelope_url().replace("/envelope/", "/integration/otlp/v1/");
        assert_eq!(
            [dsn.otlp_traces_url(), dsn.otlp_logs_url()],
            ["traces/", "logs/"].map(|end| otlp_url.clone() + end)
        );
        // As exporters read it: headers end at a comma, a name at the first `=`, and `%` is decoded.
        let headers = dsn.otlp_headers();
        assert!(!headers.contains([',', '%', '\n']) && headers.is_ascii(), "{headers}");
        let key = headers.split_once('=').filter(|(name, _)| *name == "x-sentry-auth");
        let key = key.and_then(|(_, value)| value.strip_prefix("sentry sentry_key="));
        assert_eq!(key, Some(dsn.public_key()));
        let printed = dsn.to_string();
        assert!(!printed.contains("secret") && !format!("{dsn:?}").contains("secret"));
        let read: Dsn = printed.parse().unwrap();
        assert_eq!((read.envelope_url(), read.public_key()), (dsn.envelope_url(), dsn.public_key()));
    });
}

#[test]
fn org_id() {
    #[derive(Deserialize)]
    struct Case {
        host: String,
        org_id: Option<u64>,
    }
    each("org_id", |case: &Case| {
        // Some of these hosts are not valid in a DSN.
        let dsn = format!("https://public@{}/1", case.host).parse::<Dsn>().ok();
        assert_eq!(dsn.and_then(|dsn| dsn.org_id()), case.org_id);
    });
}

#[test]
fn sample_rate() {
    #[derive(Deserialize)]
    struct Case {
        input: String,
        rate: Option<f64>,
        prints: Option<String>,
        error: Option<String>,
    }
    each("sample_rate", |case: &Case| {
        let result = case.input.parse::<SampleRate>();
        if let Some(part) = &case.error {
            return assert_rejected(result, part);
        }
        let rate = result.unwrap();
        assert_eq!(Some(rate.get()), case.rate);
        assert_eq!(Some(rate.to_string()), case.prints);
        assert_eq!(SampleRate::try_from(rate.get()), Ok(rate));
    });
}

#[test]
fn sample_rand() {
    #[derive(Deserialize)]
    struct Case {
        trace_id: String,
        expected: String,
    }
    each("sample_rand", |case: &Case| {
        let rand = SampleRand::from_trace_id(trace_id(&case.trace_id));
        assert_eq!(rand.to_string(), case.expected);
        assert_eq!(case.expected.parse(), Ok(rand));
    });
}

#[test]
fn sample_rand_backfill() {
    #[derive(Deserialize)]
    struct Case {
        trace_id: String,
        sample_rate: Option<String>,
        sampled: Option<bool>,
        at_least: f64,
        below: f64,
    }
    each("sample_rand_backfill", |case: &Case| {
        let rate = case.sample_rate.as_ref().map(|rate| rate.parse().unwrap());
        let rand = SampleRand::within(trace_id(&case.trace_id), rate, case.sampled);
        // Other services compare the printed value with their rates.
        for value in [rand.get(), rand.to_string().parse().unwrap()] {
            assert!(case.at_least <= value && value < case.below, "{value}");
        }
    });
}

/// A JSON object in the order of the file.
struct Entries<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = Entries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// A text, or a short text to repeat.
type Text = TextOr<RepeatedText>;

#[derive(Deserialize)]
struct RepeatedText {
    text: String,
    times: usize,
}

/// A raw member, or one with a long value, or many with numbered keys.
type Member = TextOr<RepeatedMember>;

#[derive(Deserialize)]
struct RepeatedMember {
    key: String,
    count: Option<usize>,
    text: String,
    times: usize,
}

fn expand(text: &Text) -> String {
    match text {
        Text::Text(text) => text.clone(),
        Text::Other(repeated) => repeated.text.repeat(repeated.times),
    }
}

fn expand_member(member: &Member) -> Vec<String> {
    match member {
        Member::Text(member) => vec![member.clone()],
        Member::Other(RepeatedMember { key, count: None, text, times }) => {
            vec![format!("{key}={}", text.repeat(*times))]
        }
        Member::Other(RepeatedMember { key, count: Some(count), text, times }) => {
            (0..*count).map(|number| format!("{key}{number}={}", text.repeat(*times))).collect()
        }
    }
}

fn assert_rejected<T: fmt::Debug, E: fmt::Display>(result: Result<T, E>, part: &str) {
    match result {
        Ok(value) => panic!("accepted as {value:?}"),
        Err(error) => assert!(error.to_string().contains(part), "the message is: {error}"),
    }
}

fn parse(lines: &[String]) -> Baggage {
    Baggage::parse(lines.iter().map(String::as_str))
}

fn entries(dsc: &DynamicSamplingContext) -> Vec<(String, String)> {
    dsc.iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

fn trace_id(hex: &str) -> TraceId {
    TraceId::from_hex(hex).expect("32 hex digits")
}
