//! Spans of generative models beside their transaction: limits, the disk and the account.

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;

use super::simulation::{Plan, Simulation, accepted, id_of, limits, millis, pad, refused, seconds};
use crate::{account::DropReason, packing::Rules};

fn make_chat(span: &mut SpanData) {
    span.attributes.push(KeyValue::new("gen_ai.operation.name", "chat"));
}

/// Ends a trace of a root, a plain child, and chats.
fn trace(sim: &mut Simulation, chats: usize) -> u64 {
    sim.trace(1 + chats, |number, span| {
        if number > 0 {
            make_chat(span);
        }
    })
}

fn check(sim: &Simulation) {
    let stats = sim.stats();
    assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped() + stats.spans_spooled, "{stats}");
}

#[test]
fn a_limit_on_spans_alone_costs_only_the_spans_beside_the_transaction() {
    let mut sim = Simulation::new(Plan::default(), |_| limits("60:span:key"));
    trace(&mut sim, 2);
    sim.run_for(seconds(1));
    assert_eq!((sim.stats().spans_sent, sim.stats().spans_dropped()), (4, 0), "the limit comes with the answer");
    trace(&mut sim, 2);
    sim.run_for(seconds(1));
    let text = &sim.requests[1].text;
    assert!(text.contains(r#""type":"transaction""#) && !text.contains(r#""type":"span""#), "{text}");
    assert!(text.contains(r#"{"reason":"ratelimit_backoff","category":"span","quantity":2}"#), "{text}");
    assert!(!text.contains(r#""category":"transaction""#), "{text}");
    assert_eq!((sim.stats().spans_sent, sim.dropped(DropReason::RateLimitBackoff)), (6, 2));
    assert_eq!(sim.stats().transactions_sent, 2);
    check(&sim);
}

#[test]
fn a_limit_on_transactions_costs_all_of_it() {
    let mut sim = Simulation::new(Plan::default(), |_| limits("60:transaction:key"));
    sim.singles(1);
    sim.run_for(seconds(1));
    trace(&mut sim, 2);
    sim.run_for(seconds(1));
    assert_eq!((sim.stats().spans_sent, sim.dropped(DropReason::RateLimitBackoff)), (1, 4));
    check(&sim);
}

#[test]
fn they_survive_a_process_that_dies() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: Some(dir.path().to_owned()), disk_time: millis(5), ..Plan::default() };
    let mut sim = Simulation::new(plan, |_| refused());
    trace(&mut sim, 2);
    sim.run_for(seconds(20));
    assert_eq!(sim.stats().spans_spooled, 4);
    sim.kill();
    sim.restart();
    sim.network = Box::new(|_| accepted(millis(1)));
    sim.run_for(seconds(60));
    assert_eq!((sim.distinct(), sim.arrived.len()), (4, 4));
    assert!(sim.requests.last().is_some_and(|request| request.has(r#""item_count":2"#)));
}

#[test]
fn a_limit_that_comes_during_an_outage_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { dir: Some(dir.path().to_owned()), disk_time: millis(5), ..Plan::default() };
    let mut sim = Simulation::new(plan, |parcel| match parcel.at < seconds(30) {
        true => refused(),
        false => limits("600:span:key"),
    });
    for _ in 0..10 {
        trace(&mut sim, 2);
        sim.run_for(seconds(2));
    }
    assert!(sim.stats().spans_spooled > 0);
    sim.run_for(seconds(120));
    let stats = sim.stats();
    assert_eq!((stats.spans_spooled, stats.transactions_sent), (0, 10), "{stats}");
    // The first answer brings the limit, and only that request had its spans.
    assert_eq!(sim.dropped(DropReason::RateLimitBackoff), 18, "{stats}");
    check(&sim);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the tree, the sizes and the hooks are: every span arrives once or is counted, and a transaction has no
    /// span of a model except as its root.
    #[test]
    fn every_span_arrives_once_or_is_counted(
        spans in prop::collection::vec((any::<bool>(), 0..5_usize, prop_oneof![4 => 0..100_usize, 1 => 100_000..1_500_000_usize]), 1..12),
        is_root_a_chat: bool,
        has_hook: bool,
    ) {
        let rules = if has_hook {
            || {
                let mut rules = Rules::default();
                rules.hooks.set_span(|span| span.description.push('!'));
                rules
            }
        } else {
            Rules::default
        };
        let mut sim = Simulation::new(Plan { rules, ..Plan::default() }, |_| accepted(millis(1)));
        let number = sim.new_trace();
        let mut root = sim.span(number, 0);
        if is_root_a_chat {
            make_chat(&mut root);
        }
        let mut ids = vec![id_of(&root)];
        for (is_chat, above, bytes) in &spans {
            let mut child = sim.span(number, ids[ids.len().saturating_sub(1 + above)]);
            pad(&mut child, 0, *bytes);
            if *is_chat {
                make_chat(&mut child);
            }
            ids.push(id_of(&child));
            sim.end(child);
        }
        sim.end(root);
        sim.run_for(seconds(2));
        check(&sim);
        prop_assert_eq!(sim.stats().spans_sent as usize, spans.len() + 1);
        prop_assert_eq!(sim.distinct(), spans.len() + 1);
        let chats = spans.iter().filter(|(is_chat, ..)| *is_chat).count();
        let counted: usize = sim.requests.iter().map(|request| request.text.matches(r#""is_segment":false"#).count()).sum();
        prop_assert_eq!(counted, chats);
    }
}
