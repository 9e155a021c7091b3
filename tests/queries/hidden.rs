//! When a query gets no span, and what others see of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use opentelemetry::{Context, trace::TraceContextExt};
use tracing::{Event, Level, Subscriber, info_span};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::LevelFilter,
    layer::{self, Context as LayerContext},
    prelude::*,
};

use crate::support::{PATIENCE, query, sent_by, sentry_to_ingest, texts, transaction_of};

const SQL: &str = "SELECT name FROM users WHERE id = $1";

#[test]
fn a_query_outside_of_all_spans_is_none() {
    let ingest = sent_by(|builder| builder, || query!(SQL));
    assert_eq!((ingest.transactions().len(), ingest.envelopes().len()), (0, 0));
}

#[test]
fn a_query_below_a_remote_parent_alone_is_none() {
    let ingest = sent_by(
        |builder| builder,
        || {
            let remote = opentelemetry::trace::SpanContext::new(
                1_u128.into(),
                2_u64.into(),
                opentelemetry::TraceFlags::SAMPLED,
                true,
                opentelemetry::trace::TraceState::default(),
            );
            let _remote = Context::new().with_remote_span_context(remote).attach();
            query!(SQL);
        },
    );
    assert!(ingest.transactions().is_empty());
}

#[test]
fn a_query_of_a_trace_that_is_not_sampled_is_none() {
    let ingest = sent_by(
        |builder| builder.with_traces_sample_rate(0.0),
        || {
            info_span!("work").in_scope(|| query!(SQL));
        },
    );
    assert!(ingest.transactions().is_empty());
}

#[test]
fn a_query_under_suppressed_telemetry_is_none() {
    let transaction = transaction_of(|| {
        let _quiet = Context::enter_telemetry_suppressed_scope();
        query!(SQL);
    });
    assert_eq!(transaction.spans, []);
}

#[test]
fn one_switch_turns_them_off() {
    let ingest = sent_by(
        |builder| builder.with_query_spans(false),
        || {
            info_span!("work").in_scope(|| query!(SQL));
        },
    );
    assert_eq!(ingest.transaction("work").spans, []);
}

#[test]
fn switched_off_a_slow_query_is_an_event_as_any_other() {
    let ingest = sent_by(
        |builder| builder.with_query_spans(false).with_logs_from_span_events(true),
        || info_span!("work").in_scope(|| query!(Level::WARN, SQL, "slow statement")),
    );
    assert_eq!(ingest.log("slow statement").level, "warn");
}

#[test]
fn no_other_event_and_no_other_span_at_debug_is_let_through() {
    let transaction = transaction_of(|| {
        tracing::debug_span!(target: "sqlx::query", "span").in_scope(|| tracing::debug!("event"));
    });
    assert_eq!(transaction.spans, []);
}

/// Counts the events that a layer of the application sees.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, _: &Event<'_>, _: LayerContext<'_, S>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn other_layers_see_what_their_own_filters_let_through() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let (info, env, debug) = (Counter::default(), Counter::default(), Counter::default());
    let subscriber = tracing_subscriber::registry()
        .with(info.clone().with_filter(LevelFilter::INFO))
        .with(sentry.tracing_layer())
        .with(env.clone().with_filter(EnvFilter::new("info,sqlx=warn")))
        .with(debug.clone().with_filter(LevelFilter::DEBUG));
    tracing::subscriber::with_default(subscriber, || {
        info_span!("work").in_scope(|| {
            query!(SQL);
            query!(Level::INFO, "SELECT 1 FROM infos");
            tracing::info!("line");
        });
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let seen = [info, env, debug].map(|Counter(seen)| seen.load(Ordering::Relaxed));
    assert_eq!(seen, [2, 1, 3]);
    assert_eq!(texts(&ingest.transaction("work")), [SQL, "SELECT 1 FROM infos"]);
}

#[test]
fn a_filter_of_the_whole_subscriber_hides_queries() {
    let filters: [fn() -> EnvFilter; 2] = [|| EnvFilter::new("info"), || EnvFilter::new("info,sqlx::query=debug")];
    let spans = filters.map(|filter| {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.build().expect("a valid setup");
        let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer()).with(filter());
        tracing::subscriber::with_default(subscriber, || info_span!("work").in_scope(|| query!(SQL)));
        sentry.flush(PATIENCE).expect("everything arrives");
        ingest.transaction("work").spans.len()
    });
    assert_eq!(spans, [0, 1]);
}

#[test]
fn a_layer_without_an_opinion_changes_nothing() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(layer::Identity::new()).with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || info_span!("work").in_scope(|| query!(SQL)));
    sentry.flush(PATIENCE).expect("everything arrives");
    assert_eq!(texts(&ingest.transaction("work")), [SQL]);
}
