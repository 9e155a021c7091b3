//! Log lines and errors of `tracing` events that layers of both crates could send.

use std::{error::Error, io};

use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
use sentry::{
    Hub,
    integrations::tracing::{BreadcrumbLayer, ErrorLayer, LogLayer},
};
use tracing::{error, info, info_span};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, filter_fn},
    prelude::*,
};

use crate::support::{PATIENCE, client, hub};

type Layer = Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>;

/// Which layers an application has, and what comes of a line and an error.
#[derive(Debug)]
struct Case {
    /// `with_logs` and `log_layer`.
    our_logs: bool,
    /// `with_exceptions_as_errors`.
    our_errors: bool,
    their_logs: bool,
    /// Errors and breadcrumbs.
    their_errors: bool,
    /// The layer that they call legacy, without events.
    is_legacy: bool,
    logs: usize,
    errors: usize,
}

const NOTHING: Case = Case {
    our_logs: false,
    our_errors: false,
    their_logs: false,
    their_errors: false,
    is_legacy: false,
    logs: 2,
    errors: 1,
};

/// The rows of the guide, page `logs`, and two set-ups in which both crates send the same.
const CASES: [Case; 6] = [
    Case { our_logs: true, our_errors: true, ..NOTHING },
    Case { our_logs: true, their_errors: true, ..NOTHING },
    Case { their_logs: true, their_errors: true, ..NOTHING },
    Case { our_logs: true, our_errors: true, is_legacy: true, ..NOTHING },
    Case { our_logs: true, their_logs: true, their_errors: true, logs: 4, ..NOTHING },
    Case { our_logs: true, our_errors: true, their_errors: true, errors: 2, ..NOTHING },
];

fn is_info_or_warning(metadata: &tracing::Metadata<'_>) -> bool {
    [tracing::Level::INFO, tracing::Level::WARN].contains(metadata.level())
}

fn their_layers(case: &Case) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    if case.their_errors {
        layers.push(BreadcrumbLayer::new().with_filter(filter_fn(is_info_or_warning)).boxed());
        layers.push(ErrorLayer::new().with_filter(LevelFilter::ERROR).boxed());
    }
    if case.their_logs {
        layers.push(LogLayer::new().with_filter(LevelFilter::INFO).boxed());
    }
    if case.is_legacy {
        layers.push(legacy());
    }
    layers
}

#[expect(deprecated, reason = "applications still have it")]
fn legacy() -> Layer {
    use sentry::integrations::tracing::{EventFilter, layer};
    layer().event_filter(|_| EventFilter::Ignore).boxed()
}

fn our_layers(case: &Case, sentry: &Sentry) -> Vec<Layer> {
    let mut layers: Vec<Layer> = vec![sentry.tracing_layer().boxed()];
    if case.our_logs {
        layers.push(sentry.log_layer().boxed());
    }
    layers
}

fn run(case: &Case, ours_first: bool) {
    let ingest = LocalIngest::start().expect("a free port");
    let client = client(&ingest);
    let builder = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0);
    let builder = builder.with_logs(case.our_logs).with_exceptions_as_errors(case.our_errors);
    let sentry = builder.build().expect("a set-up");
    let (ours, theirs) = (our_layers(case, &sentry), their_layers(case));
    let (first, second) = if ours_first { (ours, theirs) } else { (theirs, ours) };
    let layers: Vec<Layer> = first.into_iter().chain(second).collect();
    Hub::run(hub(&client), || {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layers), || {
            info_span!("checkout").in_scope(|| {
                info!("order placed");
                let full = io::Error::other("disk full");
                error!(error = &full as &dyn Error, "order failed");
            });
        });
    });
    assert!(client.flush(Some(PATIENCE)));
    sentry.shutdown(PATIENCE).expect("everything arrives");

    let (logs, errors) = (ingest.logs(), ingest.errors());
    let at = format!("{case:?}, our layers first: {ours_first}");
    assert_eq!((logs.len(), errors.len()), (case.logs, case.errors), "{at}: {logs:#?} {errors:#?}");
    for body in ["order placed", "order failed"] {
        assert_eq!(logs.iter().filter(|log| log.body == body).count(), case.logs / 2, "{at}: {body}");
    }
    let root = ingest.transaction("checkout");
    for event in &errors {
        assert_eq!(event["contexts"]["trace"]["trace_id"], root.trace_id, "{at}");
        assert_eq!(event["breadcrumbs"]["values"][0]["message"], "order placed", "{at}");
    }
    assert_eq!(ingest.transactions().len(), 1, "{at}");
}

#[test]
fn each_line_and_each_error_is_sent_once_by_the_set_ups_of_the_guide() {
    for case in &CASES {
        for ours_first in [true, false] {
            run(case, ours_first);
        }
    }
}
