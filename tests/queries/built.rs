//! The ways in which the layer is built, and the parents that it finds.

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sentry::{
    QuerySpans, Sentry, SentryExporter, SentrySampler, SentrySpanProcessor, exporter::testing::LocalIngest,
};
use tracing::{Subscriber, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Registry, filter::LevelFilter, prelude::*, reload};

use crate::support::{PATIENCE, query, sentry_to_ingest, texts};

const SQL: &str = "SELECT name FROM users WHERE id = $1";

fn queries_under<S: Subscriber + Send + Sync>(build: impl FnOnce(&Sentry) -> S) -> Vec<String> {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let subscriber = build(&sentry);
    tracing::subscriber::with_default(subscriber, || {
        info_span!("work").in_scope(|| {
            query!(SQL);
            info_span!("by hand", db.system = "postgresql", sentry.custom_span_name = "own").in_scope(|| query!(SQL));
        });
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let transaction = ingest.transaction("work");
    texts(&transaction).into_iter().map(str::to_owned).collect()
}

#[test]
fn every_way_to_build_the_layers_makes_one_span_a_query() {
    let registry = tracing_subscriber::registry;
    assert_eq!(queries_under(|sentry| registry().with(sentry.tracing_layer())), [SQL, "own"]);
    assert_eq!(
        queries_under(|sentry| registry().with(sentry.tracing_layer().with_filter(LevelFilter::DEBUG))),
        [SQL, "own"]
    );
    assert_eq!(queries_under(|sentry| registry().with(Some(sentry.tracing_layer()))), [SQL, "own"]);
    assert_eq!(queries_under(|sentry| registry().with(sentry.tracing_layer().boxed())), [SQL, "own"]);
    assert_eq!(queries_under(|sentry| registry().with(vec![sentry.tracing_layer().boxed()])), [SQL, "own"]);
    assert_eq!(
        queries_under(|sentry| {
            let layer = sentry.unfiltered_tracing_layer().with_location(false);
            registry().with(layer.with_filter(LevelFilter::INFO)).with(sentry.query_layer())
        }),
        [SQL, "own"]
    );
    assert_eq!(
        queries_under(|sentry| {
            let layer = sentry.unfiltered_tracing_layer().with_location(false);
            registry().with(sentry.query_layer()).with(layer.with_filter(LevelFilter::INFO))
        }),
        [SQL, "own"],
        "in the other order"
    );
}

#[test]
fn inside_of_a_reload_layer_it_makes_spans() {
    assert_eq!(
        queries_under(|sentry| {
            let (layer, _handle) = reload::Layer::<_, Registry>::new(sentry.tracing_layer());
            tracing_subscriber::registry().with(layer)
        }),
        [SQL, "own"]
    );
}

#[test]
fn without_context_activation_the_parent_is_the_current_tracing_span() {
    assert_eq!(
        queries_under(|sentry| {
            let layer = sentry.unfiltered_tracing_layer().with_context_activation(false);
            tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO)).with(sentry.query_layer())
        }),
        [SQL, "own"]
    );
}

#[test]
fn the_layer_works_without_the_facade() {
    let ingest = LocalIngest::start().expect("a free port");
    let sampler = SentrySampler::rate(1.0).expect("a rate");
    let decisions = sampler.decision_log();
    let exporter = SentryExporter::builder().with_dsn(ingest.dsn()).with_decision_log(decisions.clone());
    let processor = SentrySpanProcessor::from(exporter.build().expect("a valid setup"));
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor.clone()).build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
    let queries = QuerySpans::new(provider.tracer("shop")).with_database_system("mysql").with_decision_log(decisions);
    let subscriber = tracing_subscriber::registry().with(spans).with(queries.into_layer());
    tracing::subscriber::with_default(subscriber, || info_span!("work").in_scope(|| query!(SQL)));
    processor.flush(PATIENCE).expect("everything arrives");
    assert_eq!(ingest.transaction("work").span(SQL).data["db.system.name"], "mysql");
}

#[test]
fn the_layer_still_finds_the_context_of_a_span() {
    let (_ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        use opentelemetry::trace::TraceContextExt as _;
        assert!(info_span!("work").context().span().span_context().is_valid());
    });
}

#[test]
fn an_explicit_parent_is_the_parent() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        info_span!("work").in_scope(|| {
            let other = info_span!("other");
            info_span!("active").in_scope(|| {
                tracing::debug!(target: "sqlx::query", parent: &other, summary = "SELECT 1 FROM a");
                tracing::debug!(target: "sqlx::query", parent: None, summary = "SELECT 2 FROM a");
            });
        });
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let transaction = ingest.transaction("work");
    assert_eq!(texts(&transaction), ["SELECT 1 FROM a"]);
    let parent = &transaction.span("SELECT 1 FROM a").parent_span_id;
    assert_eq!(parent.as_ref(), Some(&transaction.span("other").span_id));
}
