//! Laws of the wire formats, for arbitrary values: a printed value is read again, limits hold, and no parser panics.

use std::collections::BTreeMap;

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sentry_protocol::{
    Baggage, Dsn, DynamicSamplingContext, SampleRand, SampleRate, SentryTrace, TraceParent,
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
    test_runner::FileFailurePersistence,
};

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("seeds"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_sentry_trace_is_read_as_it_was_printed(trace in trace_id(), span in span_id(), sampled: Option<bool>) {
        let header = SentryTrace::new(trace, span, sampled);
        prop_assert_eq!((header.trace_id(), header.span_id(), header.sampled()), (trace, span, sampled));
        prop_assert_eq!(header.to_string().parse(), Ok(header));
    }

    #[test]
    fn a_traceparent_is_read_as_it_was_printed(trace in trace_id(), span in span_id(), sampled: bool) {
        let header = TraceParent::new(trace, span, sampled);
        prop_assert_eq!((header.trace_id(), header.span_id(), header.is_sampled()), (trace, span, sampled));
        prop_assert_eq!(header.to_string().parse(), Ok(header));
    }

    #[test]
    fn a_sample_rate_is_read_as_it_was_printed(number in unit_number()) {
        let rate = SampleRate::try_from(number).unwrap();
        prop_assert_eq!(rate.get(), number);
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn a_number_is_a_sample_rate_exactly_from_0_to_1(number in prop_oneof![any::<f64>(), -2.0..2.0]) {
        let valid = (0.0..=1.0).contains(&number);
        prop_assert_eq!(SampleRate::try_from(number).is_ok(), valid);
        prop_assert_eq!(number.to_string().parse::<SampleRate>().is_ok(), valid);
    }

    #[test]
    fn a_number_is_a_sample_rand_exactly_from_0_to_below_1(number in prop_oneof![any::<f64>(), -2.0..2.0, Just(1.0)]) {
        let valid = (0.0..1.0).contains(&number);
        prop_assert_eq!(number.to_string().parse::<SampleRand>().is_ok(), valid);
    }

    #[test]
    fn a_sample_rand_is_read_as_it_was_printed(number in unit_number()) {
        prop_assume!(number < 1.0);
        let rand: SampleRand = number.to_string().parse().unwrap();
        prop_assert_eq!(rand.get(), number);
        prop_assert_eq!(rand.to_string().parse(), Ok(rand));
    }

    #[test]
    fn a_derived_sample_rand_has_six_decimals(
        trace in trace_id(), rate in option::of(unit_number()), sampled: Option<bool>,
    ) {
        let rate = rate.map(|rate| SampleRate::try_from(rate).unwrap());
        for rand in [SampleRand::from_trace_id(trace), SampleRand::within(trace, rate, sampled)] {
            let text = rand.to_string();
            prop_assert!(text.len() == 8 && text.starts_with("0."), "{}", text);
            prop_assert_eq!(text.parse(), Ok(rand));
        }
    }

    #[test]
    fn a_sample_rand_depends_on_the_low_56_bits_only(high: u128, low in 1_u128..1 << 56) {
        let rand = SampleRand::from_trace_id(TraceId::from((high >> 56 << 56) | low));
        let millionths = low * 1_000_000 / (1 << 56);
        prop_assert_eq!(rand.to_string(), format!("0.{millionths:06}"));
    }

    #[test]
    fn a_sample_rand_is_compared_strictly(number in unit_number(), other in option::of(unit_number())) {
        prop_assume!(number < 1.0);
        let rand: SampleRand = number.to_string().parse().unwrap();
        let rate = other.unwrap_or(number);
        prop_assert_eq!(rand.is_below(SampleRate::try_from(rate).unwrap()), number < rate);
    }

    #[test]
    fn a_backfilled_sample_rand_agrees_with_the_decision(trace in trace_id(), number in unit_number(), sampled: bool) {
        // No value with six decimals agrees with "sampled" at 0 or with "not sampled" above 0.999999.
        prop_assume!(if sampled { number > 0.0 } else { number <= 0.999_999 });
        let rate = SampleRate::try_from(number).unwrap();
        let rand = SampleRand::within(trace, Some(rate), Some(sampled));
        prop_assert_eq!(rand.is_below(rate), sampled);
        prop_assert_eq!(rand.to_string().parse::<SampleRand>().unwrap().is_below(rate), sampled);
    }

    #[test]
    fn a_dsc_is_read_as_it_was_printed(entries in vec((unicode(12), unicode(24)), 0..8)) {
        let entries: BTreeMap<String, String> = entries.into_iter().collect();
        let entries: Vec<_> = entries.into_iter().rev().collect();
        let dsc = DynamicSamplingContext::from_entries(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let text = dsc.to_string();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
        let read: DynamicSamplingContext = text.parse().unwrap();
        prop_assert_eq!(read.is_empty(), entries.is_empty());
        prop_assert_eq!(read.to_string(), text);
        let found: Vec<_> = read.iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(found, entries);
    }

    #[test]
    fn a_dsn_is_read_as_it_was_printed(
        scheme in select(vec!["http", "https"]),
        key in "[A-Za-z0-9_-]{1,40}",
        secret in option::of("SECRET[a-z0-9]{1,32}"),
        host in r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{1,8}){0,3}|\[::1\]|127\.0\.0\.1",
        port in option::of(1_u16..),
        path in "(/[a-z0-9_-]{1,8}){0,3}",
        project: u64,
    ) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let password = secret.as_ref().map(|secret| format!(":{secret}")).unwrap_or_default();
        let public = format!("{scheme}://{key}@{host}{port}{path}/{project}");
        let dsn: Dsn = format!("{scheme}://{key}{password}@{host}{port}{path}/{project}").parse().unwrap();
        prop_assert_eq!((dsn.public_key(), dsn.secret_key()), (key.as_str(), secret.as_deref()));
        prop_assert_eq!((dsn.host(), dsn.project_id()), (host.as_str(), project));
        prop_assert_eq!(dsn.envelope_url(), format!("{scheme}://{host}{port}{path}/api/{project}/envelope/"));
        let debug = format!("{dsn:?}");
        prop_assert!(!debug.contains("SECRET"));
        prop_assert_eq!(dsn.to_string(), public.as_str());
        prop_assert_eq!(public.parse::<Dsn>().unwrap().to_string(), public);
    }

    #[test]
    fn printed_baggage_keeps_to_the_limits(lines in lines()) {
        let text = parse(&lines).to_string();
        prop_assert!(text.len() <= 8192, "{} bytes", text.len());
        prop_assert!(members(&text).count() <= 64, "{} members", members(&text).count());
        for member in members(&text) {
            prop_assert!(member.contains('=') && member.trim() == member, "{:?}", member);
            prop_assert!(member.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')), "{:?}", member);
        }
    }

    #[test]
    fn printed_baggage_is_printed_the_same_again(lines in lines()) {
        let once = parse(&lines).to_string();
        prop_assert_eq!(Baggage::parse([once.as_str()]).to_string(), once);
    }

    #[test]
    fn sentry_members_are_printed_before_foreign_ones(lines in lines()) {
        let text = parse(&lines).to_string();
        let is_foreign = |member: &&str| Baggage::parse([*member]).dsc().is_none();
        prop_assert!(members(&text).skip_while(|member| !is_foreign(member)).all(|member| is_foreign(&member)), "{}", text);
    }

    #[test]
    fn foreign_members_that_fit_survive_byte_for_byte(
        foreign in vec(foreign_member(), 0..40),
        release in option::of(unicode(24)),
        separator in select(vec![",", ", ", " ,\t"]),
    ) {
        let numbered = foreign.iter().enumerate().map(|(number, member)| format!("x{number}-{member}"));
        let foreign: Vec<_> = numbered.collect();
        let dsc = DynamicSamplingContext::from_entries(release.iter().map(|release| ("release", release.as_str())));
        let baggage = parse(&[dsc.to_string(), foreign.join(separator)]);
        prop_assert!(baggage.foreign().eq(&foreign), "{:?}", baggage);
        let expected: Vec<_> = release.map(|_| dsc.to_string()).into_iter().chain(foreign).collect();
        prop_assert_eq!(baggage.to_string(), expected.join(","));
    }

    #[test]
    fn a_repeated_key_is_kept_once_with_its_last_value(values in vec("[a-z0-9]{1,6}", 1..8), key in "[a-z]{1,6}") {
        let lines: Vec<_> = values.iter().map(|value| format!("sentry-release={value},{key}={value};p")).collect();
        let last = values.last().unwrap();
        prop_assert_eq!(parse(&lines).to_string(), format!("sentry-release={last},{key}={last};p"));
    }

    #[test]
    fn no_parser_panics(text in prop_oneof![any::<String>(), "[0-9a-fA-F,+ \t-]{0,70}", near_miss()]) {
        let _ = text.parse::<SentryTrace>();
        let _ = text.parse::<TraceParent>();
        let _ = text.parse::<Dsn>();
        let _ = text.parse::<SampleRate>();
        let _ = text.parse::<SampleRand>();
        let dsc: DynamicSamplingContext = text.parse().unwrap();
        let _ = (dsc.to_string(), dsc.iter().count(), dsc.get("release").is_some());
        let baggage: Baggage = text.parse().unwrap();
        let _ = (baggage.to_string(), baggage.foreign().count());
    }

    #[test]
    fn an_accepted_value_is_accepted_again_as_printed(text in near_miss()) {
        if let Ok(header) = text.parse::<SentryTrace>() {
            prop_assert_eq!(header.to_string().parse(), Ok(header));
        }
        if let Ok(header) = text.parse::<TraceParent>() {
            prop_assert_eq!(header.to_string().parse(), Ok(header));
        }
        if let Ok(dsn) = text.parse::<Dsn>() {
            prop_assert_eq!(dsn.to_string().parse::<Dsn>().unwrap().envelope_url(), dsn.envelope_url());
        }
    }
}

fn parse(lines: &[String]) -> Baggage {
    Baggage::parse(lines.iter().map(String::as_str))
}

fn members(header: &str) -> impl Iterator<Item = &str> {
    header.split(',').skip(usize::from(header.is_empty()))
}

fn trace_id() -> impl Strategy<Value = TraceId> {
    (1_u128..).prop_map(|id| TraceId::from_bytes(id.to_be_bytes()))
}

fn span_id() -> impl Strategy<Value = SpanId> {
    (1_u64..).prop_map(|id| SpanId::from_bytes(id.to_be_bytes()))
}

/// Numbers from 0 to 1, both ends included: round ones, and some with all digits of a double.
fn unit_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        0.0..=1.0,
        (0_u32..=1_000_000).prop_map(|step| f64::from(step) / 1e6),
        (0_u32..=100).prop_map(|percent| f64::from(percent) / 100.0),
        (0_u32..1_000_000).prop_map(|step| f64::from_bits((f64::from(step) / 1e6).to_bits() + 1)),
        (1_u32..=1_000_000).prop_map(|step| f64::from_bits((f64::from(step) / 1e6).to_bits() - 1)),
        select(vec![0.0, 1.0, 1e-7, 5e-324, 0.999_999_5]),
    ]
}

/// A text of any characters that is not empty.
fn unicode(longest: usize) -> impl Strategy<Value = String> {
    vec(prop_oneof![any::<char>(), proptest::char::range(' ', '~')], 1..longest)
        .prop_map(|characters| characters.into_iter().collect())
}

/// The end of a foreign member: letters of the key, `=`, a value and maybe properties, as the wire allows them.
fn foreign_member() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_.!%*-]{0,10} ?= ?[!-+\\--:<-~]([ -+\\--:<-~]{0,20}[!-+\\--:<-~])?( ?;[ -+\\--~]{0,10}[!-+\\--~])?"
}

/// Header lines with many members, some of them long: often more than the limits allow.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let member = prop_oneof![
        4 => "(sentry-)?[a-z_]{1,8}=[!-+\\--~]{1,300}",
        4 => "(sentry-)?[a-z]{2,8}=[a-z]{1,4}(;[a-z]{1,4})?",
        2 => "[ \t]?(sentry-|%73entry-)?[a-c%]{0,3}[ \t]?=[ -~\t]{0,9}",
        1 => any::<String>(),
    ];
    vec(vec(member, 0..120).prop_map(|members| members.join(",")), 0..3)
}

/// A valid text of one of the formats with one piece replaced.
fn near_miss() -> impl Strategy<Value = String> {
    let valid = select(vec![
        "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "https://public:secret@o123.ingest.us.sentry.io:443/path/456?x#y",
        "https://public@[::1]:9000/1",
        "sentry-release=shop%401.2.3,foo=bar;p=1,sentry-sampled=true",
        "0.25",
    ]);
    let piece = prop_oneof!["[-,=;%@:/#?. 0-9a-fA-F\\[\\]]{0,3}", any::<String>()];
    (valid, any::<Index>(), 0_usize..4, piece).prop_map(|(valid, at, length, piece)| {
        let start = at.index(valid.len() + 1);
        let end = (start + length).min(valid.len());
        format!("{}{piece}{}", &valid[..start], &valid[end..])
    })
}
