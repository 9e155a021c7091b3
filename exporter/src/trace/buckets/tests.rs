use opentelemetry_sentry_protocol::{Decision, SampleRand};
use proptest::prelude::*;

use super::*;
use crate::trace::fixtures::{self, TRACE, id};

fn span(id: u64, parent: u64) -> EndedSpan {
    fixtures::span(id, parent)
}

/// A span with a text of this length.
fn large(id: u64, bytes: usize) -> EndedSpan {
    let mut data = (*fixtures::span(id, 1)).clone();
    data.name = "x".repeat(bytes).into();
    EndedSpan::from(data)
}

fn context(name: &str) -> Arc<TraceContext> {
    let decision = Decision::new(Some(true)).with_transaction(Some(name.into()));
    Arc::new(TraceContext::Own { sample_rand: SampleRand::from_trace_id(TRACE), decision })
}

fn ids(bucket: &Bucket) -> Vec<u64> {
    bucket.spans.iter().map(id).collect()
}

fn lengths(buckets: &[Bucket]) -> Vec<usize> {
    buckets.iter().map(|bucket| bucket.spans.len()).collect()
}

const fn at(now: Instant) -> PickUp {
    PickUp { now, since: now, grace: Duration::ZERO }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn spans_leave_five_seconds_after_the_first_and_half_a_second_after_a_root() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    buckets.push(span(2, 1), 0, None, at(start));
    buckets.push(span(3, 1), 0, None, at(start + millis(4000)));
    assert_eq!(buckets.next_expiry(), Some(start + millis(5000)));
    assert!(buckets.expire(start + millis(4999)).is_empty());
    assert_eq!(buckets.expire(start + millis(5000)).iter().map(ids).collect::<Vec<_>>(), [[2, 3]]);

    buckets.push(span(4, 1), 0, None, at(start + millis(7000)));
    buckets.push(span(1, 0), 0, None, at(start + millis(7010)));
    assert!(buckets.expire(start + millis(7509)).is_empty());
    assert_eq!(buckets.expire(start + millis(7510)).iter().map(ids).collect::<Vec<_>>(), [[4, 1]]);
    assert_eq!((buckets.next_expiry(), buckets.len()), (None, 0));
}

#[test]
fn a_root_that_ends_late_does_not_delay_what_waits() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    buckets.push(span(2, 1), 0, None, at(start));
    buckets.push(span(1, 0), 0, None, at(start + millis(4900)));
    assert_eq!(buckets.next_expiry(), Some(start + millis(5000)));
}

#[test]
fn the_time_until_the_pick_up_does_not_come_on_top() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    let pick_up = PickUp { since: start, ..at(start + millis(3000)) };
    buckets.push(span(2, 1), 0, None, pick_up);
    assert_eq!(buckets.next_expiry(), Some(start + millis(5000)));
    buckets.push(span(1, 0), 0, None, pick_up);
    assert_eq!(buckets.next_expiry(), Some(start + millis(3500)), "the end of a root is picked up at once");
}

#[test]
fn a_thousand_spans_leave_at_once() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    let mut full: Vec<_> = (2..2502).flat_map(|id| buckets.push(span(id, 1), 0, None, at(start))).collect();
    full.extend(buckets.push(span(1, 0), 0, None, at(start)));
    assert_eq!(lengths(&full), [1000, 1000]);
    full.extend(buckets.expire(start + WAIT_AFTER_ROOT));
    assert_eq!(lengths(&full), [1000, 1000, 501]);
}

#[test]
fn five_megabytes_leave_at_once_and_one_span_alone_may_have_more() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    let full: Vec<_> = (2..19).flat_map(|id| buckets.push(large(id, 300_000), 0, None, at(start))).collect();
    assert_eq!(lengths(&full), [16], "the 17th would be too much");
    assert!(full[0].size() <= MAX_BUCKET);
    let full = buckets.push(large(20, MAX_BUCKET), 0, None, at(start));
    assert_eq!(lengths(&full), [1, 1], "what waited, and the large one");
    assert_eq!(buckets.len(), 0);
}

#[test]
fn each_trace_and_each_context_has_a_bucket_of_its_own() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    let (first, second) = (context("first"), context("second"));
    buckets.push(span(2, 1), 0, Some(Arc::clone(&first)), at(start));
    buckets.push(span(3, 1), 0, Some(second), at(start));
    buckets.push(span(5, 1), 0, Some(context("first")), at(start));
    buckets.push(span(6, 1), 0, Some(first), at(start));
    let all: Vec<_> = buckets.expire(start + MAX_BUCKET_WAIT).iter().map(ids).collect();
    assert_eq!(all, [vec![2, 5, 6], vec![3]], "equal contexts are one");
}

#[test]
fn without_a_context_spans_go_with_others_of_their_trace() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    buckets.push(span(2, 1), 0, None, at(start));
    buckets.push(span(1, 0), 0, Some(context("root")), at(start));
    buckets.push(span(3, 1), 0, None, at(start));
    let all = buckets.drain();
    assert_eq!(all.iter().map(ids).collect::<Vec<_>>(), [[2, 1, 3]]);
    assert_eq!(all[0].context, Some(context("root")));
}

#[test]
fn a_trace_with_very_many_contexts_sends_the_oldest_early() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    let contexts: Vec<_> = (0..=MAX_CONTEXTS as u64).collect();
    let mut early = Vec::new();
    for number in &contexts {
        early.extend(buckets.push(span(2 + number, 1), 0, Some(context(&number.to_string())), at(start)));
    }
    assert_eq!(early.iter().map(ids).collect::<Vec<_>>(), [[2]]);
    assert_eq!(buckets.len(), MAX_CONTEXTS);
}

#[test]
fn under_pressure_the_bucket_that_is_due_first_leaves() {
    let (mut buckets, start) = (Buckets::default(), Instant::now());
    buckets.push(span(2, 1), 0, Some(context("a")), at(start));
    buckets.push(span(1, 0), 0, Some(context("b")), at(start));
    assert_eq!(buckets.take_first().map(|bucket| ids(&bucket)), Some(vec![1]));
    assert_eq!(buckets.drain().iter().map(ids).collect::<Vec<_>>(), [[2]]);
    assert!(buckets.take_first().is_none());
}

/// A step of a simulation: the milliseconds that pass, and what ends then.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ends { context: u8, is_root: bool, bytes: usize },
    Makes { room: bool },
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let ends = (0..3_u8, any::<bool>(), prop_oneof![Just(10), Just(2_000_000), Just(MAX_BUCKET)])
        .prop_map(|(context, is_root, bytes)| Step::Ends { context, is_root, bytes });
    let step = prop_oneof![9 => ends, 1 => any::<bool>().prop_map(|room| Step::Makes { room })];
    (0..3000_u64, step)
}

proptest! {
    #[test]
    fn what_comes_in_goes_out_once_and_in_time(steps in prop::collection::vec(step(), 0..60)) {
        let (mut buckets, mut now) = (Buckets::default(), Instant::now());
        let mut ended_at = HashMap::new();
        let mut left = Vec::new();
        for (id, (passed, step)) in (2..).zip(steps) {
            let end = now + millis(passed);
            // A driver wakes up when something is due.
            while let Some(due) = buckets.next_expiry().filter(|due| *due <= end) {
                for bucket in buckets.expire(due) {
                    for span in &bucket.spans {
                        let waited = due - ended_at[&fixtures::id(span)];
                        prop_assert!(waited <= MAX_BUCKET_WAIT);
                        prop_assert!(!span.is_local_root() || waited <= WAIT_AFTER_ROOT);
                    }
                    left.push(bucket);
                }
            }
            now = end;
            match step {
                Step::Makes { room: true } => left.extend(buckets.take_first()),
                Step::Makes { room: false } => left.extend(buckets.drain()),
                Step::Ends { context: name, is_root, bytes } => {
                    let mut data = (*fixtures::span(id, u64::from(!is_root))).clone();
                    data.name = "x".repeat(bytes).into();
                    ended_at.insert(id, now);
                    let span = EndedSpan::from(data);
                    left.extend(buckets.push(span, 0, Some(context(&name.to_string())), at(now)));
                }
            }
            let sent: usize = left.iter().map(|bucket| bucket.spans.len()).sum();
            prop_assert_eq!(sent + buckets.len(), ended_at.len());
        }
        left.extend(buckets.drain());
        let mut all: Vec<_> = left.iter().flat_map(ids).collect();
        all.sort_unstable();
        let mut wanted: Vec<_> = ended_at.into_keys().collect();
        wanted.sort_unstable();
        prop_assert_eq!(all, wanted);
        for bucket in &left {
            prop_assert!(!bucket.spans.is_empty() && bucket.spans.len() <= MAX_SPANS);
            prop_assert!(bucket.spans.len() == 1 || bucket.size() <= MAX_BUCKET);
        }
        prop_assert_eq!((buckets.len(), buckets.next_expiry()), (0, None));
    }
}
