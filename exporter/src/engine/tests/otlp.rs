//! Requests of OTLP exporters over a simulated network and disk.

use opentelemetry_http::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use opentelemetry_sentry_vectors::each;
use prost::Message;
use serde::Deserialize;

use super::simulation::{
    Parcel, Plan, Reply, Simulation, accepted, asks_to_wait, hangs, limited, limited_with, limits, millis, refused,
    seconds, status,
};
use crate::{
    account::DropReason,
    engine::FlushError,
    packing::{OtlpForm, OtlpFormat, OtlpParts, OtlpSignal},
};

const TRACES: &str = "/api/1/integration/otlp/v1/traces/";
const PROTOBUF: OtlpForm = OtlpForm { signal: OtlpSignal::Traces, format: OtlpFormat::Protobuf };

/// The ids of the spans in a body.
pub(super) fn ids(body: &[u8]) -> Vec<u64> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let spans = scopes.flat_map(|scope| scope.spans);
    spans.map(|span| u64::from_be_bytes(span.span_id.try_into().unwrap())).collect()
}

/// A request with these spans.
fn batch(ids: impl IntoIterator<Item = u64>, name: &str) -> Bytes {
    let span = |id: u64| Span {
        trace_id: vec![7; 16],
        span_id: id.to_be_bytes().to_vec(),
        name: name.to_owned(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: ids.into_iter().map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

impl Simulation {
    /// Exports spans with this many bytes of a name. Returns whether the engine is open.
    fn export(&mut self, ids: impl IntoIterator<Item = u64>, size: usize) -> bool {
        self.export_named(ids, &"x".repeat(size))
    }

    /// As the client does it.
    pub(super) fn export_named(&mut self, ids: impl IntoIterator<Item = u64>, name: &str) -> bool {
        self.shared.otlp.expect();
        let parts = OtlpParts::of(PROTOBUF, &batch(ids, name), self.shared.otlp.limit());
        assert!(parts.is_valid && parts.dropped.is_none());
        self.shared.otlp.push(parts.envelopes, &self.shared.ledger)
    }

    fn accounted(&self) -> u64 {
        let stats = self.stats();
        stats.spans_sent + stats.spans_dropped() + stats.spans_spooled
    }
}

fn server(answer: impl FnMut(&Parcel) -> Reply + 'static) -> Simulation {
    Simulation::new(Plan::default(), answer)
}

#[test]
fn a_batch_goes_to_sentrys_otlp_endpoint_and_is_counted() {
    let mut sim = server(|_| status(202, millis(20)));
    assert!(sim.export(1..=512, 20));
    assert_eq!(sim.flush(seconds(5)), Ok(()));
    let [request] = &sim.requests[..] else { panic!("one request") };
    assert_eq!((&request.path[..], &request.spans), (TRACES, &(1..=512).collect()));
    let stats = sim.stats();
    assert_eq!(
        (stats.spans_received, stats.spans_sent, stats.transactions_sent, stats.pending_bytes),
        (512, 512, 0, 0)
    );
}

/// What the first answer means for its batch, and for the next one a second later.
#[derive(Debug, Deserialize)]
struct Case {
    status: Option<u16>,
    retry_after: Option<u64>,
    rate_limits: Option<String>,
    first: String,
    next: String,
}

#[test]
fn each_answer_has_its_meaning_for_the_batch_and_the_next_one() {
    each("otlp_answers", |case: &Case| {
        let answer = match (case.status, case.retry_after, &case.rate_limits) {
            (Some(status), Some(seconds), _) => asks_to_wait(status, seconds),
            (Some(status), None, Some(limits)) => limited_with(status, limits),
            (Some(code), None, None) => status(code, millis(1)),
            (None, ..) => refused(),
        };
        let mut answer = Some(answer);
        let mut sim = server(move |_| answer.take().unwrap_or_else(|| status(202, millis(1))));
        for ids in [1..=3, 4..=5] {
            sim.export(ids, 20);
            sim.run_for(seconds(1));
        }
        sim.settle(seconds(700));
        let fate = |id: u64| match sim.arrived.iter().find(|(arrived, _)| *arrived == id) {
            Some((_, at)) if *at < seconds(2) => "arrives".to_owned(),
            Some((_, at)) => format!("arrives after {} s", at.as_secs()),
            None => "is lost".to_owned(),
        };
        // Three spans of the first batch, two of the next one, or both.
        let lost = |spans: u64| {
            let mut reasons = sim.stats().dropped.into_iter();
            reasons.find(|(_, dropped)| [spans, 5].contains(&dropped.spans)).map(|(reason, _)| reason.to_string())
        };
        let words = |id, spans| lost(spans).unwrap_or_else(|| fate(id));
        assert_eq!((words(1, 3), words(4, 2)), (case.first.clone(), case.next.clone()));
        assert_eq!((sim.stats().spans_received, sim.accounted()), (5, 5));
    });
}

#[test]
fn an_outage_of_an_hour_costs_nothing() {
    for is_gateway in [false, true] {
        let mut sim = server(move |parcel| match parcel.at < seconds(3600) {
            true if is_gateway => status(503, millis(5)),
            true => refused(),
            false => accepted(millis(5)),
        });
        let mut id = 0;
        while sim.time() < seconds(3700) {
            id += 1;
            sim.export([id], 100);
            sim.run_for(seconds(10));
        }
        sim.settle(seconds(120));
        assert_eq!((sim.distinct() as u64, sim.stats().spans_dropped()), (id, 0), "gateway: {is_gateway}");
        // One request at a time asks whether the server is back, with pauses of up to a minute.
        let asked = sim.requests.iter().filter(|request| request.at < seconds(3600)).count();
        assert!(asked < 500, "{asked}");
    }
}

#[test]
fn reports_that_a_proxy_refuses_cost_no_batch_its_tries() {
    // A loss makes a report, which the proxy answers for the server as it answers the batches.
    let mut sim = server(|parcel| if parcel.at < seconds(1800) { status(503, millis(5)) } else { accepted(millis(5)) });
    sim.singles(1);
    for id in 1..=20 {
        sim.export([id], 100);
    }
    sim.run_for(seconds(1800));
    sim.settle(seconds(200));
    assert_eq!((sim.distinct(), sim.dropped(DropReason::NetworkError)), (20, 0));
}

#[test]
fn a_limit_on_spans_drops_batches_under_its_reason_and_leaves_the_disk_alone() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: Some(dir.path().to_owned()), ..Plan::default() };
    let mut is_limited = false;
    let mut sim = Simulation::new(plan, move |parcel| match (parcel.at, is_limited) {
        (at, _) if at < seconds(60) => refused(),
        (_, true) => accepted(millis(5)),
        (_, false) => {
            is_limited = true;
            limits("600:span:organization")
        }
    });
    // More than the disk hands out at once.
    for id in 1..=600 {
        sim.export([id], 100);
    }
    assert_eq!(sim.flush(seconds(5)), Err(FlushError::KeptOnDisk { spans: 600 }));
    sim.run_for(seconds(300));
    sim.export([601], 100);
    sim.run_for(seconds(1));
    let (arrived, limited) = (sim.distinct() as u64, sim.dropped(DropReason::RateLimitBackoff));
    assert_eq!((arrived + limited + sim.stats().spans_spooled, sim.accounted()), (601, 601));
    assert!(limited >= 1 && sim.stats().spans_spooled > 0, "{:?}", sim.stats());
    let spooled = sim.stats().spans_spooled;
    sim.settle(seconds(1000));
    assert_eq!(sim.distinct() as u64, arrived + spooled);
}

#[test]
fn what_is_on_disk_arrives_after_a_restart_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: Some(dir.path().to_owned()), ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| refused());
    sim.export(1..=512, 100);
    assert_eq!(sim.shutdown(seconds(2)), Err(FlushError::KeptOnDisk { spans: 512 }));
    assert_eq!((sim.stats().spans_spooled, sim.accounted()), (512, 512));
    sim.restart();
    sim.network = Box::new(|_| status(202, millis(5)));
    sim.run_for(seconds(10));
    assert_eq!((sim.distinct(), sim.stats().spans_received, sim.stats().spans_sent), (512, 512, 512));
    assert_eq!(sim.requests.last().map(|request| &request.path[..]), Some(TRACES));
}

#[test]
fn without_a_disk_memory_is_bounded_and_the_newest_are_counted() {
    let plan = Plan { queue_limit: 4 << 20, ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| refused());
    for id in 1..=200 {
        sim.export([id], 50_000);
        sim.run_for(millis(100));
        let stats = sim.stats();
        assert!(stats.queued_bytes + stats.pending_bytes <= 5 << 20, "{stats:?}");
    }
    let lost = sim.dropped(DropReason::QueueOverflow);
    assert!((90..140).contains(&lost), "{lost}");
    sim.network = Box::new(|_| accepted(millis(5)));
    sim.settle(seconds(120));
    assert_eq!((sim.distinct() as u64, sim.stats().spans_received), (200 - lost, 200));
    assert!((1..=60).all(|id| sim.arrived.iter().any(|(arrived, _)| *arrived == id)), "the oldest arrive");
}

#[test]
fn a_batch_larger_than_the_queue_leaves_room_for_is_sent_in_parts() {
    let plan = Plan { queue_limit: 1 << 20, ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| status(202, millis(20)));
    for (ids, size) in [(1..=20, 10_000), (21..=50, 100_000)] {
        sim.export(ids, size);
        assert_eq!(sim.flush(seconds(5)), Ok(()));
    }
    assert_eq!((sim.distinct(), sim.stats().spans_sent), (50, 50));
    assert!(sim.requests.iter().all(|request| request.text.len() <= 1 << 18));
}

#[test]
fn a_shutdown_counts_what_it_cannot_send_and_what_comes_later() {
    let mut sim = server(|_| hangs());
    sim.export(1..=10, 100);
    assert!(sim.shutdown(seconds(2)).is_err());
    assert!(!sim.export(11..=15, 100));
    assert_eq!((sim.dropped(DropReason::Shutdown), sim.stats().spans_received, sim.accounted()), (15, 15, 15));
}

#[test]
fn while_a_flush_waits_a_pause_that_the_server_asks_for_is_not_waited_for() {
    let mut sim = server(|parcel| if parcel.at < millis(300) { asks_to_wait(503, 60) } else { accepted(millis(5)) });
    sim.export(1..=3, 100);
    assert_eq!(sim.flush(seconds(5)), Ok(()));
    let mut sim = server(|parcel| if parcel.at < millis(300) { asks_to_wait(503, 60) } else { accepted(millis(5)) });
    sim.export(1..=3, 100);
    sim.run_for(seconds(59));
    assert_eq!(sim.distinct(), 0, "without one it is");
    sim.run_for(seconds(3));
    assert_eq!(sim.distinct(), 3);
}

#[test]
fn spotlight_gets_no_otlp() {
    let mut sim = Simulation::new(Plan { has_spotlight: true, ..Plan::default() }, |_| accepted(millis(5)));
    sim.export([1], 10);
    assert_eq!((sim.flush(seconds(5)), sim.copies.len(), sim.distinct()), (Ok(()), 0, 1));
}

#[test]
fn a_report_of_losses_goes_out_alone() {
    let mut sim = server(|parcel| if parcel.spans.contains(&1) { status(413, millis(5)) } else { accepted(millis(5)) });
    sim.export([1], 10);
    sim.run_for(seconds(1));
    sim.export([2], 10);
    sim.run_for(seconds(40));
    let paths: Vec<_> = sim.requests.iter().map(|request| &request.path[..]).collect();
    assert_eq!(paths, [TRACES, TRACES, "/api/1/envelope/"]);
    assert!(
        sim.requests[2].has("\"reason\":\"send_error\",\"category\":\"span\",\"quantity\":1"),
        "{:?}",
        sim.requests[2]
    );
}

#[test]
fn a_limit_of_everything_is_obeyed() {
    let mut sim = server(|parcel| if parcel.at < seconds(1) { limited(60) } else { accepted(millis(5)) });
    for id in 1..=70 {
        sim.export([id], 10);
        sim.run_for(seconds(1));
    }
    assert_eq!((sim.dropped(DropReason::RateLimited), sim.dropped(DropReason::RateLimitBackoff)), (1, 60));
    assert_eq!((sim.distinct(), sim.accounted()), (9, 70));
}
