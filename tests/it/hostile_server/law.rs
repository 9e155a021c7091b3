//! Whatever a server does, every span is delivered, counted or kept on disk, and none arrives twice.

use std::{collections::BTreeSet, path::Path, time::Duration};

use opentelemetry_sentry::{
    Sentry, Stats,
    exporter::testing::{Answer, Envelope, LocalIngest},
};
use proptest::{collection::vec, prelude::*};

use super::OK;
use crate::{
    raw_server::{RawServer, Then},
    support::{PATIENCE, end_spans, eventually, sentry_at},
};

/// How long a shutdown may take that waits for answers which never come.
const LAST: Duration = Duration::from_secs(1);

/// How the server treats a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Accept,
    AcceptAndLimit,
    Refuse(u16),
    Close,
    Hang,
}

impl Does {
    fn answer(self) -> Answer {
        match self {
            Self::Accept => Answer::ok(),
            Self::AcceptAndLimit => Answer::ok().with_header("x-sentry-rate-limits", "60:transaction:key"),
            // A limit that ends at once.
            Self::Refuse(status) => Answer::status(status).with_header("retry-after", "0"),
            Self::Close => Answer::close(),
            Self::Hang => Answer::hang(),
        }
    }
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        8 => Just(Does::Accept),
        1 => Just(Does::AcceptAndLimit),
        4 => prop::sample::select(vec![400, 413, 429, 500, 503]).prop_map(Does::Refuse),
        6 => Just(Does::Close),
        1 => Just(Does::Hang),
    ]
}

/// Event ids of the transactions that were accepted.
fn accepted(ingest: &LocalIngest) -> Vec<String> {
    let envelopes = ingest.envelopes();
    let has_transaction = |envelope: &&Envelope| envelope.items().iter().any(|item| item.item_type() == "transaction");
    envelopes.iter().filter(has_transaction).filter_map(|envelope| Some(envelope.event_id()?.to_owned())).collect()
}

fn accounted(stats: &Stats) -> u64 {
    stats.spans_sent + stats.spans_dropped() + stats.spans_spooled
}

/// Flushes, which skips the pauses between attempts, until only requests that hang are left.
fn settle(sentry: &Sentry, made: u64, ingest: &LocalIngest, does: &[Does]) {
    eventually("only requests that hang are left", || {
        let _ = sentry.flush(Duration::from_millis(50)); // its outcome is in the numbers
        let requests = ingest.requests().len();
        let hanging = does.iter().take(requests).filter(|does| **does == Does::Hang).count() as u64;
        let stats = sentry.stats();
        // What hangs may be on disk as well.
        stats.spans_received >= made && stats.spans_received - accounted(&stats) <= hanging
    });
}

fn sentry_to(ingest: &LocalIngest, directory: Option<&Path>) -> Sentry {
    let builder = sentry_at(ingest.dsn());
    let builder = if let Some(directory) = directory { builder.with_spool_dir(directory) } else { builder };
    builder.build().expect("a valid setup")
}

fn hold(does: &[Does], batches: &[usize], directory: Option<&Path>) {
    let ingest = LocalIngest::start().expect("a free port");
    ingest.answer_next(does.iter().map(|does| does.answer()));
    let sentry = sentry_to(&ingest, directory);
    let mut made = 0;
    for batch in batches {
        end_spans(&sentry, *batch);
        made += *batch as u64;
        settle(&sentry, made, &ingest, does);
    }
    let processor = sentry.span_processor().clone();
    // A server may accept what the worker gives up at the end of its time: the answer then comes too late to be counted.
    let is_complete = sentry.shutdown(LAST).is_ok();
    let stats = processor.stats();
    assert_eq!(stats.spans_received, accounted(&stats), "{stats:?}");
    let ids = accepted(&ingest);
    let delivered = ids.len() as u64;
    assert!(stats.spans_sent == delivered || !is_complete && stats.spans_sent < delivered, "{stats:?}");
    let delivered_or_counted = stats.spans_sent + stats.spans_dropped();
    let mut later = 0;
    if directory.is_some() {
        // The rest is on disk. The next process sends it to the same address, which accepts everything now.
        let kept = made.checked_sub(delivered_or_counted).expect("nothing is counted twice");
        let (address, next) = (ingest.address(), sentry_at(ingest.dsn()));
        drop(ingest);
        let server = RawServer::at(address, OK, Then::Close);
        let builder = if let Some(directory) = directory { next.with_spool_dir(directory) } else { next };
        let sentry = builder.build().expect("a valid setup");
        server.wait_for(usize::try_from(kept).expect("a few"));
        assert_eq!(sentry.shutdown(PATIENCE), Ok(()));
        later = server.heads().len() as u64;
    } else {
        assert_eq!(made, delivered_or_counted, "{stats:?}");
    }
    let (arrived, expected) = (ids.len() as u64 + later, made - stats.spans_dropped());
    assert!(arrived == expected || !is_complete && arrived > expected, "{arrived} of {expected}: {stats:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an event arrived twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_span_is_lost_uncounted_and_none_arrives_twice(
        does in vec(does(), 1..24),
        batches in vec(1..6_usize, 1..4),
        is_kept in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        hold(&does, &batches, is_kept.then(|| directory.path()));
    }
}
