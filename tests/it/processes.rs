//! Processes that know nothing of each other decide alike about a trace.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    process::{Command, Stdio},
};

use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sentry::{
    Sentry, SentrySampler,
    exporter::testing::LocalIngest,
    protocol::{SampleRand, SampleRate},
};
use serde::{Deserialize, Serialize};

use crate::support::PATIENCE;

const TASK: &str = "TEST_TASK";

/// The line that a process prints.
const RESULT: &str = "headers of the next service: ";

/// What a process does: one request for each set of headers.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Task {
    dsn: String,
    rate: Option<f64>,
    parent_based: bool,
    requests: Vec<HashMap<String, String>>,
}

/// Which headers a service passes on: those of Sentry, or those of W3C.
#[derive(Clone, Copy, Debug)]
enum Form {
    Sentry,
    W3c,
    Both,
}

impl Form {
    fn of(self, headers: &HashMap<String, String>) -> HashMap<String, String> {
        let names: &[&str] = match self {
            Self::Sentry => &["sentry-trace", "baggage"],
            Self::W3c => &["traceparent", "tracestate"],
            Self::Both => &["sentry-trace", "baggage", "traceparent", "tracestate"],
        };
        let kept = headers.iter().filter(|(name, _)| names.contains(&name.as_str()));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

#[test]
#[ignore = "a process of the tests below"]
#[expect(clippy::print_stdout, reason = "the test reads it there")]
fn serves_requests() {
    let Ok(task) = env::var(TASK) else { return };
    let Task { dsn, rate, parent_based, requests } = serde_json::from_str(&task).unwrap();
    let sampler = SentrySampler::builder().with_parent_based(parent_based).with_tracestate(true);
    let sampler = match rate {
        Some(rate) => sampler.with_rate(rate),
        None => sampler,
    };
    let sentry = Sentry::builder().with_dsn(dsn).with_sampler(sampler.build().unwrap()).build().unwrap();
    let tracer = sentry.tracer_provider().tracer("test");
    let next: Vec<HashMap<String, String>> = requests
        .iter()
        .map(|headers| {
            let cx = sentry.propagator().extract_with_context(&Context::new(), headers);
            let cx = cx.with_span(tracer.start_with_context("request", &cx));
            let mut next = HashMap::new();
            sentry.propagator().inject_context(&cx, &mut next);
            next
        })
        .collect();
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    println!("{RESULT}{}", serde_json::to_string(&next).unwrap());
}

/// Runs a process to its end. Returns the headers that it passes on.
fn process(task: &Task) -> Vec<HashMap<String, String>> {
    let mut command = Command::new(env::current_exe().expect("a file"));
    command.args(["--exact", "processes::serves_requests", "--ignored", "--nocapture", "--test-threads=1"]);
    let task = serde_json::to_string(task).expect("JSON");
    let output = command.env(TASK, task).stderr(Stdio::inherit()).output().expect("a process");
    let output = String::from_utf8_lossy(&output.stdout);
    let line = output.lines().find_map(|line| line.split_once(RESULT)).unwrap_or_else(|| panic!("{output}"));
    serde_json::from_str(line.1).expect("headers")
}

/// Trace ids whose random values are spread over all rates.
fn trace_ids() -> impl Iterator<Item = u128> {
    (0..20_u128).map(|step| (1 << 64) + (step << 56) / 20)
}

/// Headers of a service before that has decided nothing.
fn undecided() -> Vec<HashMap<String, String>> {
    let header = |id| HashMap::from([("sentry-trace".to_owned(), format!("{id:032x}-b0e6f15b45c36b12"))]);
    trace_ids().map(header).collect()
}

/// How many spans of each trace have arrived.
fn arrived(ingest: &LocalIngest) -> BTreeMap<String, usize> {
    let mut arrived = BTreeMap::new();
    for event in ingest.transactions() {
        *arrived.entry(event["contexts"]["trace"]["trace_id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    arrived
}

/// The traces that Sentry's rule samples at a rate, each with three spans.
fn expected(rate: f64) -> BTreeMap<String, usize> {
    let rate = SampleRate::try_from(rate).expect("a rate");
    let is_sampled = |id: &u128| SampleRand::from_trace_id((*id).into()).is_below(rate);
    trace_ids().filter(is_sampled).map(|id| (format!("{id:032x}"), 3)).collect()
}

#[test]
fn a_trace_through_three_processes_with_different_rates_is_whole_or_absent() {
    for form in [Form::Sentry, Form::W3c, Form::Both] {
        for rate in [0.0, 0.3, 1.0] {
            let ingest = LocalIngest::start().expect("a free port");
            let mut requests = undecided();
            // The first one decides; the others would decide differently.
            for local in [rate, 1.0 - rate, 0.5] {
                let task = Task { dsn: ingest.dsn(), rate: Some(local), parent_based: true, requests };
                requests = process(&task).iter().map(|headers| form.of(headers)).collect();
            }
            assert_eq!(arrived(&ingest), expected(rate), "{form:?} {rate}");
        }
    }
}

#[test]
fn three_processes_that_are_asked_separately_decide_alike() {
    for rate in [0.0, 0.3, 1.0] {
        let ingest = LocalIngest::start().expect("a free port");
        for _ in 0..3 {
            process(&Task { dsn: ingest.dsn(), rate: Some(rate), parent_based: true, requests: undecided() });
        }
        assert_eq!(arrived(&ingest), expected(rate), "{rate}");
    }
}

#[test]
fn each_process_with_a_rate_of_its_own_decides_by_the_random_value_in_either_form() {
    for form in [Form::Sentry, Form::W3c] {
        let ingest = LocalIngest::start().expect("a free port");
        let first = Task { dsn: ingest.dsn(), rate: Some(1.0), parent_based: true, requests: undecided() };
        let requests: Vec<_> = process(&first).iter().map(|headers| form.of(headers)).collect();
        for rate in [0.3, 0.3] {
            process(&Task { dsn: ingest.dsn(), rate: Some(rate), parent_based: false, requests: requests.clone() });
        }
        let whole = arrived(&ingest).into_iter().filter(|(_, spans)| *spans > 1).collect::<BTreeMap<_, _>>();
        assert_eq!(whole, expected(0.3), "{form:?}");
    }
}

#[test]
fn a_process_without_a_rate_leaves_the_decision_to_the_next_ones() {
    let ingest = LocalIngest::start().expect("a free port");
    let first = Task { dsn: ingest.dsn(), rate: None, parent_based: true, requests: undecided() };
    let requests = process(&first);
    for _ in 0..3 {
        let requests = requests.iter().map(|headers| Form::Sentry.of(headers)).collect();
        process(&Task { dsn: ingest.dsn(), rate: Some(0.3), parent_based: true, requests });
    }
    assert_eq!(arrived(&ingest), expected(0.3));
}
