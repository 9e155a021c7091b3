//! OpenTelemetry's threshold and randomness, and Sentry's rate and random value.

use opentelemetry::TraceId;
use opentelemetry_sentry_protocol::{Incoming, OtState, Randomness, SampleRand, SampleRate, Threshold};
use opentelemetry_sentry_vectors::each;
use proptest::{prelude::*, sample::select};
use serde::Deserialize;

/// One more than the highest randomness.
const RANGE: u64 = 1 << 56;

#[test]
fn threshold() {
    #[derive(Deserialize)]
    struct Case {
        sample_rand: String,
        rate: String,
        rv: String,
        th: Option<String>,
        sampled: bool,
    }
    each("threshold", |case: &Case| {
        let (rand, rate): (SampleRand, SampleRate) = (case.sample_rand.parse().unwrap(), case.rate.parse().unwrap());
        let (threshold, randomness) = (Threshold::of(rate), Randomness::of(rand, Some(rate)));
        let th = case.th.iter().map(|th| format!("th:{th};"));
        let expected = format!("{}rv:{}", th.collect::<String>(), case.rv);
        assert_eq!(OtState::default().with(threshold, Some(randomness)), Some(expected.clone()));
        let read = OtState::read(&expected);
        assert_eq!((read.threshold(), read.randomness()), (threshold, Some(randomness)));
        assert_eq!(rand.is_below(rate), case.sampled);
        assert_eq!(threshold.is_some_and(|threshold| threshold.keeps(randomness)), case.sampled);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn both_rules_decide_alike_about_a_random_value(rand in rand(), rate in rate()) {
        let randomness = Randomness::of(rand, Some(rate));
        prop_assert_eq!(keeps(rate, randomness), rand.is_below(rate), "{} {}", rand, rate);
    }

    #[test]
    fn both_rules_decide_alike_about_a_randomness(randomness in randomness(), rate in rate()) {
        let rand = randomness.rand();
        prop_assert_eq!(rand.is_below(rate), keeps(rate, randomness), "{} {}", rand, rate);
        // Also for the next service, which reads it.
        prop_assert_eq!(rand.to_string().parse::<SampleRand>().unwrap().get(), rand.get());
    }

    #[test]
    fn a_random_value_of_a_sixteenth_or_more_comes_back(rand in rand()) {
        let back = Randomness::of(rand, None).rand();
        if rand.get() >= 1.0 / 16.0 {
            prop_assert_eq!(back, rand);
        }
        prop_assert!((back.get() - rand.get()).abs() <= 1.0 / RANGE as f64, "{} {}", rand, back);
    }

    #[test]
    fn a_value_with_six_decimals_keeps_them(step in 62_500_u32..1_000_000) {
        let rand: SampleRand = format!("0.{step:06}").parse().unwrap();
        prop_assert_eq!(Randomness::of(rand, None).rand().to_string(), rand.to_string());
    }

    #[test]
    fn a_threshold_is_the_rate_that_it_was_made_of(rate in rate()) {
        let back = Threshold::of(rate).map(|threshold| threshold.rate().get());
        let error = |back: f64| (back - rate.get()).abs();
        prop_assert!(back.map_or(rate == SampleRate::NONE, |back| error(back) <= 1.0 / RANGE as f64), "{}", rate);
    }

    #[test]
    fn a_member_is_read_as_it_was_written(
        others in prop::collection::vec("[a-qu-z][a-z0-9]{0,3}:[!-+\\--:<>-~]{0,20}", 0..4), rate in rate(), number in 0..RANGE,
    ) {
        let text = others.join(";");
        let randomness = OtState::read(&format!("rv:{number:014x}")).randomness();
        let written = OtState::read(&text).with(Threshold::of(rate), randomness).unwrap();
        prop_assert!(written.len() <= 256 && written.ends_with(&text), "{}", written);
        let read = OtState::read(&written);
        prop_assert_eq!((read.threshold(), read.randomness()), (Threshold::of(rate), randomness));
        prop_assert_eq!(read.with(Threshold::of(rate), randomness), None, "it has them already");
        prop_assert_eq!(read.with(None, None).unwrap(), text);
    }

}

proptest! {
    #[test]
    fn no_member_is_too_long_and_none_panics(text in "(th:|rv:|[a-z]:)?[0-9a-f;:é]{0,300}", rate in rate(), number in 0..RANGE) {
        let read = OtState::read(&text);
        let randomness = OtState::read(&format!("rv:{number:014x}")).randomness();
        let written = read.with(Threshold::of(rate), randomness);
        prop_assert!(written.is_none_or(|written| written.len() <= text.len().max(256)));
    }
}

#[test]
fn what_does_not_fit_loses_its_threshold_and_gets_no_randomness() {
    let others = format!("k:{}", "x".repeat(250));
    let randomness = Randomness::of("0.5".parse().unwrap(), None);
    let all = Threshold::of(SampleRate::ALL);
    let full = OtState::read(&others).with(all, Some(randomness)).unwrap();
    assert_eq!(full, others, "{}", full.len());
    let old = format!("th:8;{}", &others[..252]);
    assert_eq!(OtState::read(&old).with(Threshold::of(SampleRate::try_from(0.3).unwrap()), None).unwrap(), others);
}

#[test]
fn digits_are_lower_case_and_in_number() {
    for (text, threshold, randomness) in [
        ("th:0", true, false),
        ("th:8;rv:00000000000000", true, true),
        ("th:00000000000000", true, false),
        ("th:", false, false),
        ("th:000000000000000", false, false),
        ("th:C", false, false),
        ("th:+8", false, false),
        ("rv:0000000000000", false, false),
        ("rv:000000000000000", false, false),
        ("rv:FFFFFFFFFFFFFF", false, false),
        ("xth:8;xrv:00000000000000", false, false),
        ("TH:8", false, false),
    ] {
        let read = OtState::read(text);
        assert_eq!((read.threshold().is_some(), read.randomness().is_some()), (threshold, randomness), "{text}");
    }
}

#[test]
fn a_trace_of_opentelemetrys_samplers_has_their_randomness_and_their_rate() {
    let trace_id = TraceId::from(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    let incoming = |state, sampled| Incoming::from_w3c(trace_id, sampled).with_ot_state(OtState::read(state));
    let numbers = |state, sampled| {
        let incoming = incoming(state, sampled);
        (incoming.sample_rand.get(), incoming.sample_rate().map(SampleRate::get))
    };
    assert_eq!(numbers("th:8;rv:c0000000000000", Some(true)), (0.249_999_999_999_999_97, Some(0.5)));
    assert_eq!(numbers("rv:bfffffffffffff", Some(true)), (0.25, None));
    // That of the trace id, whose highest values OpenTelemetry keeps.
    assert_eq!(numbers("th:c", Some(true)), (0.193_075_355_595_030_3, Some(0.25)));
    assert_eq!(numbers("th:8", Some(false)).1, None, "the rate of what is sampled");
    assert_eq!(numbers("th:f", Some(true)).1, None, "it contradicts the flag");
    assert_eq!(numbers("k:v", Some(true)), (SampleRand::from_trace_id(trace_id).get(), None));
}

#[test]
fn a_randomness_fills_in_for_a_random_value_that_did_not_come_unless_it_contradicts() {
    let trace_id = TraceId::from(1);
    let rand = |baggage: &str, sampled| {
        let (baggage, essentials) = opentelemetry_sentry_protocol::Baggage::read([baggage]);
        let randomness = OtState::read("rv:bfffffffffffff").randomness();
        Incoming::from_essentials(trace_id, sampled, baggage.into_dsc(), essentials, randomness)
    };
    assert_eq!(rand("sentry-release=a", Some(true)).sample_rand.get(), 0.25);
    assert_eq!(rand("sentry-release=a", None).frozen().unwrap().get("sample_rand").as_deref(), Some("0.250000"));
    assert_eq!(rand("sentry-sample_rand=0.7", Some(true)).sample_rand.get(), 0.7);
    assert_eq!(rand("sentry-sample_rate=0.5", Some(true)).sample_rand.get(), 0.25);
    for (rate, sampled) in [("0.2", true), ("0.5", false)] {
        let rand = rand(&format!("sentry-sample_rate={rate}"), Some(sampled)).sample_rand;
        assert_eq!(rand.is_below(rate.parse().unwrap()), sampled);
    }
}

fn keeps(rate: SampleRate, randomness: Randomness) -> bool {
    Threshold::of(rate).is_some_and(|threshold| threshold.keeps(randomness))
}

/// Numbers from 0 to 1: round ones, their neighbours, and some with all digits of a double.
fn number() -> impl Strategy<Value = f64> {
    let step = || (0_u32..=1_000_000).prop_map(|step| f64::from(step) / 1e6);
    prop_oneof![
        0.0..=1.0,
        step(),
        (1_u32..100_000).prop_map(|step| f64::from_bits((f64::from(step) / 1e6).to_bits() + 1)),
        (1_u32..100_000).prop_map(|step| f64::from_bits((f64::from(step) / 1e6).to_bits() - 1)),
        select(vec![0.0, 1.0, 0.03, 0.030_000_000_000_000_002, 5e-324, 1e-17, 1e-300]),
    ]
}

fn rate() -> impl Strategy<Value = SampleRate> {
    number().prop_map(|number| SampleRate::try_from(number).expect("a rate"))
}

fn rand() -> impl Strategy<Value = SampleRand> {
    number().prop_filter_map("below 1", |number| number.to_string().parse().ok())
}

fn randomness() -> impl Strategy<Value = Randomness> {
    let number = prop_oneof![
        0..RANGE,
        0..10_000_u64,
        (0..10_000_u64).prop_map(|number| RANGE - 1 - number),
        rate().prop_map(|rate| RANGE - 1 - ((rate.get() * RANGE as f64) as u64).min(RANGE - 1)),
    ];
    number.prop_filter_map("in range", |number| OtState::read(&format!("rv:{number:014x}")).randomness())
}
