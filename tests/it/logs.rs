//! Log lines beside spans, through the facade.

use std::{error::Error, fmt, io};

use opentelemetry::logs::{LogRecord as _, Logger, LoggerProvider, Severity};
use opentelemetry_sentry::{LogFilter, Sentry, exporter::testing::LocalIngest};
use serde_json::{Value, json};
use tracing::{debug, error, info, info_span, trace};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    prelude::*,
};

use crate::support::{NoStock, PATIENCE, run_alone, sentry_to_ingest};

fn no_stock() -> NoStock {
    NoStock(io::Error::other("disk full"))
}

fn with_layers(sentry: &Sentry, work: impl FnOnce()) {
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer()).with(sentry.log_layer());
    tracing::subscriber::with_default(subscriber, work);
    sentry.flush(PATIENCE).expect("everything arrives");
}

fn started(rate: f64) -> (LocalIngest, Sentry) {
    let (ingest, builder) = sentry_to_ingest();
    let builder = builder.with_traces_sample_rate(rate).with_logs(true).with_exceptions_as_errors(true);
    (ingest, builder.build().expect("a valid setup"))
}

#[test]
fn a_line_belongs_to_the_active_span_and_has_the_fields_of_its_event() {
    let (ingest, sentry) = started(1.0);
    with_layers(&sentry, || {
        info_span!("checkout").in_scope(|| {
            info!(items = 3_u64, large = u64::MAX, ratio = 0.5, ok = true, who = "bob", dbg = ?[1], "order {}", 7);
            debug!("below INFO");
        });
        info!(target: "other", "outside");
    });
    let root = ingest.transaction("checkout");
    let log = ingest.log("order 7");
    assert_eq!((&log.trace_id, log.span_id.as_ref()), (&root.trace_id, Some(&root.span_id)));
    assert_eq!((log.level.as_str(), log.severity_number), ("info", Some(9)));
    for (key, value) in [
        ("items", json!(3)),
        ("large", json!("18446744073709551615")),
        ("ratio", json!(0.5)),
        ("ok", json!(true)),
        ("who", json!("bob")),
        ("dbg", json!("[1]")),
        ("logger.name", json!("it::logs")),
        ("sentry.release", json!("shop@1.2.3")),
        ("code.file.path", json!(file!())),
    ] {
        assert_eq!(log.attributes.get(key), Some(&value), "{key}");
    }
    assert!(log.attributes["code.line.number"].is_number());
    let outside = ingest.log("outside");
    assert_ne!(outside.trace_id, log.trace_id);
    assert_eq!((outside.span_id, &outside.attributes["logger.name"]), (None, &json!("other")));
    assert_eq!(ingest.logs().len(), 2);
}

#[test]
fn an_error_in_a_field_keeps_its_type_and_its_causes_in_one_event() {
    for rate in [1.0, 0.0] {
        let (ingest, sentry) = started(rate);
        with_layers(&sentry, || {
            info_span!("checkout").in_scope(|| {
                info!("before");
                error!(error = &no_stock() as &dyn Error, "order failed");
            });
        });
        let [event] = &ingest.errors()[..] else { panic!("one failure is one event") };
        let values = event["exception"]["values"].as_array().expect("values");
        let values: Vec<_> = values.iter().map(|one| (&one["type"], &one["value"])).collect();
        assert_eq!(values, [(&json!("Error"), &json!("disk full")), (&json!("NoStock"), &json!("no stock"))]);
        assert_eq!(event["logentry"]["formatted"], "order failed");
        assert_eq!(event["breadcrumbs"]["values"][0]["message"], "before");
        assert_eq!(event["transaction"], "checkout");
        let log = ingest.log("order failed");
        assert_eq!(log.trace_id, event["contexts"]["trace"]["trace_id"]);
        assert_eq!(log.span_id.is_some(), rate == 1.0, "a span that is not sampled is never sent");
        let envelopes = ingest.envelopes();
        let of_error = envelopes.iter().find(|envelope| envelope.items()[0].item_type() == "event").expect("one");
        assert_eq!(of_error.trace().expect("a context")["sampled"], (rate == 1.0).to_string());
    }
}

#[test]
fn a_line_without_a_message_has_the_text_of_its_error() {
    let (ingest, sentry) = started(1.0);
    with_layers(&sentry, || {
        error!(error = %"of a text");
        error!(error = &no_stock() as &dyn Error);
        error!(error = %"another", "with a message");
    });
    let bodies: Vec<_> = ingest.logs().into_iter().map(|log| log.body).collect();
    assert_eq!(bodies, ["of a text", "no stock", "with a message"]);
}

/// The application's own `Display` and `Debug`, when they fail.
struct Broken {
    panics: bool,
}

impl Broken {
    fn fail(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        if self.panics { panic!("as the test wants") } else { Err(fmt::Error) }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fail(f)
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fail(f)
    }
}

impl Error for Broken {}

#[test]
fn a_value_that_cannot_be_printed_costs_the_line_nothing_else() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_logs(true).with_exceptions_as_errors(true).build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(sentry.log_layer());
    tracing::subscriber::with_default(subscriber, || {
        for panics in [true, false] {
            let broken = Broken { panics };
            info!(shown = %broken, printed = ?broken, items = 3, "a line");
            error!(error = &broken as &dyn Error, "an error");
        }
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let logs = ingest.logs();
    assert_eq!(logs.len(), 4);
    for log in logs.iter().filter(|log| log.body == "a line") {
        let values = ["shown", "printed", "items"].map(|key| &log.attributes[key]);
        assert_eq!(values, [&json!("half"), &json!("half"), &json!(3)]);
    }
    assert!(!ingest.errors().is_empty());
}

#[test]
fn the_second_error_of_a_line_does_not_take_the_causes_of_the_first() {
    let (ingest, sentry) = started(1.0);
    with_layers(&sentry, || {
        let second = fmt::Error;
        error!(error = &no_stock() as &dyn Error, second = &second as &dyn Error, "order failed");
    });
    let [event] = &ingest.errors()[..] else { panic!("one failure is one event") };
    let values = event["exception"]["values"].as_array().expect("values");
    let values: Vec<_> = values.iter().map(|one| one["value"].as_str().unwrap_or_default()).collect();
    assert_eq!(values, ["disk full", "no stock"]);
    assert_eq!(ingest.log("order failed").attributes["second"], fmt::Error.to_string());
}

#[test]
fn a_line_that_names_its_parent_belongs_to_it() {
    for rate in [1.0, 0.0] {
        let (ingest, sentry) = started(rate);
        // Another layer sees spans that ours leave out.
        let terminal = tracing_subscriber::fmt::layer().with_writer(io::sink).with_filter(LevelFilter::DEBUG);
        let layers = tracing_subscriber::registry().with(sentry.tracing_layer()).with(sentry.log_layer());
        tracing::subscriber::with_default(layers.with(terminal), || {
            let (checkout, payment) = (info_span!("checkout"), info_span!("payment"));
            let (active, other) = (payment.enter(), &checkout);
            let unseen = tracing::debug_span!(parent: other, "below INFO");
            info!("of payment");
            info!(parent: other, "of checkout");
            info!(parent: &unseen, "below checkout");
            info!(parent: None, "of no span");
            error!(parent: other, error = &no_stock() as &dyn Error, "failed in checkout");
            info!("payment again");
            drop(active);
        });
        sentry.flush(PATIENCE).expect("everything arrives");
        let of = |body| {
            let log = ingest.log(body);
            (log.trace_id, log.span_id)
        };
        let ids =
            |root: &str| (rate == 1.0).then(|| ingest.transaction(root)).map(|root| (root.trace_id, root.span_id));
        for (bodies, root) in [
            (&["of checkout", "below checkout", "failed in checkout"][..], "checkout"),
            (&["of payment", "payment again"], "payment"),
        ] {
            let first = of(bodies[0]);
            if let Some((trace_id, span_id)) = ids(root) {
                assert_eq!(first, (trace_id, Some(span_id)));
            }
            bodies.iter().for_each(|body| assert_eq!(of(body), first, "{body}"));
        }
        let traces = ["of checkout", "of payment", "of no span"].map(|body| of(body).0);
        assert!(traces[0] != traces[1] && traces[1] != traces[2] && traces[0] != traces[2], "{traces:?}");
        assert_eq!(of("of no span").1, None);
        let [event] = &ingest.errors()[..] else { panic!("one failure") };
        assert_eq!(
            (&event["contexts"]["trace"]["trace_id"], &event["transaction"]),
            (&json!(traces[0]), &json!("checkout"))
        );
    }
}

#[test]
fn lines_have_a_filter_of_their_own_with_levels_by_target() {
    let (ingest, sentry) = started(1.0);
    let levels = Targets::new().with_default(LevelFilter::WARN).with_target("shop", LevelFilter::DEBUG);
    let lines = sentry.unfiltered_log_layer().with_filter(levels);
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer()).with(lines);
    tracing::subscriber::with_default(subscriber, || {
        info_span!("checkout").in_scope(|| {
            debug!(target: "shop::orders", "debug of shop");
            trace!(target: "shop::orders", "trace of shop");
            info!("info of the rest");
            tracing::warn!("warn of the rest");
        });
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let root = ingest.transaction("checkout");
    let mut found: Vec<_> = ingest.logs().into_iter().map(|log| (log.body, log.span_id)).collect();
    found.sort();
    let wanted = ["debug of shop", "warn of the rest"].map(|body| (body.to_owned(), Some(root.span_id.clone())));
    assert_eq!(found, wanted);
}

/// Logs a line as `tracing-log` does for an application that uses the `log` crate.
fn of_log(level: log::Level, args: fmt::Arguments<'_>) {
    let mut record = log::Record::builder();
    record.level(level).target("shop::orders").module_path(Some("shop::orders::rules"));
    record.file(Some("src/orders.rs")).line(Some(68)).args(args);
    tracing_log::format_trace(&record.build()).expect("a subscriber");
}

#[test]
fn a_line_of_the_log_crate_has_its_own_target_and_place() {
    let (ingest, sentry) = started(1.0);
    with_layers(&sentry, || {
        info_span!("checkout").in_scope(|| {
            of_log(log::Level::Warn, format_args!("low stock: {}", 3));
            of_log(log::Level::Debug, format_args!("below INFO"));
        });
    });
    let [log] = &ingest.logs()[..] else { panic!("one log") };
    assert_eq!((log.body.as_str(), log.level.as_str()), ("low stock: 3", "warn"));
    assert_eq!(log.span_id, Some(ingest.transaction("checkout").span_id));
    let own = ["logger.name", "code.file.path", "code.line.number"].map(|key| &log.attributes[key]);
    assert_eq!(own, [&json!("shop::orders"), &json!("src/orders.rs"), &json!(68)]);
    let leftover = log.attributes.keys().find(|key| key.starts_with("log."));
    assert_eq!(leftover, None, "fields of the bridge");
}

#[test]
fn the_order_of_the_layers_changes_nothing() {
    let (ingest, sentry) = started(1.0);
    let subscriber = tracing_subscriber::registry().with(sentry.log_layer()).with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        info_span!("checkout").in_scope(|| error!(error = &no_stock() as &dyn Error, "order failed"));
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    assert_eq!((ingest.errors().len(), ingest.logs().len()), (1, 1));
    assert_eq!(ingest.log("order failed").trace_id, ingest.transaction("checkout").trace_id);
}

#[test]
fn any_appender_can_use_the_logger_provider_and_without_the_option_nothing_is_sent() {
    for on in [true, false] {
        let (ingest, builder) = sentry_to_ingest();
        let sentry = builder.with_logs(on).build().expect("a valid setup");
        let logger = sentry.logger_provider().logger("appender");
        let mut record = logger.create_log_record();
        record.set_severity_number(Severity::Warn);
        record.set_body("hello".into());
        logger.emit(record);
        sentry.flush(PATIENCE).expect("everything arrives");
        assert_eq!(ingest.logs().len(), usize::from(on));
        assert_eq!(logger.event_enabled(Severity::Error, "x", None), on);
    }
}

#[test]
fn a_shutdown_sends_the_lines() {
    let (ingest, sentry) = started(1.0);
    let layer = sentry.log_layer();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || info!("the last line"));
    sentry.shutdown(PATIENCE).expect("everything arrives");
    assert_eq!(ingest.log("the last line").level, "info");
}

#[test]
fn filters_and_hooks_of_the_builder_hold() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder
        .with_logs(true)
        .with_exporter(|exporter| exporter.with_ignore_logs([LogFilter::from("noise")]))
        .with_before_send_log(|mut log| {
            log.attributes.insert("hooked".to_owned(), true.into());
            Some(log)
        })
        .build()
        .expect("a valid setup");
    with_layers(&sentry, || {
        info!(target: "noise::deep", "left out");
        info!("kept");
    });
    let [log] = &ingest.logs()[..] else { panic!("one log") };
    assert_eq!((log.body.as_str(), &log.attributes["hooked"]), ("kept", &json!(true)));
}

#[test]
fn span_events_become_logs_without_the_log_layer() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_logs_from_span_events(true).build().expect("a valid setup");
    let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    tracing::subscriber::with_default(subscriber, || {
        info_span!("checkout").in_scope(|| tracing::warn!(target: "shop", items = 3, "low stock"));
    });
    sentry.flush(PATIENCE).expect("everything arrives");
    let log = ingest.log("low stock");
    assert_eq!((log.level.as_str(), &log.attributes["items"]), ("warn", &json!(3)));
    assert_eq!(log.span_id, Some(ingest.transaction("checkout").span_id));
}

#[test]
#[ignore = "the child of the test below, as it sets the global subscriber"]
fn logs_everything_at_trace() {
    let (ingest, sentry) = started(1.0);
    let layer = sentry.unfiltered_log_layer().with_filter(LevelFilter::TRACE);
    let spans = sentry.unfiltered_tracing_layer().with_filter(LevelFilter::TRACE);
    tracing_subscriber::registry().with(spans).with(layer).init();
    for _ in 0..3 {
        trace!("a line");
        sentry.flush(PATIENCE).expect("everything arrives");
    }
    // What the requests of these flushes logged would arrive with the next one.
    sentry.flush(PATIENCE).expect("everything arrives");
    let foreign: Vec<Value> =
        ingest.logs().into_iter().filter(|log| log.body != "a line").map(|log| log.json).collect();
    assert_eq!(foreign, [Value::Null; 0]);
    assert_eq!(ingest.logs().len(), 3);
    assert_eq!(sentry.stats().logs_received, 3);
}

#[test]
fn the_lines_of_our_own_requests_never_come_back() {
    run_alone("logs::logs_everything_at_trace", &[]);
}
