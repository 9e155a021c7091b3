//! A `Sentry` that is not kept says so, once.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use opentelemetry_sentry::Sentry;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::support::{PATIENCE, run_alone};

/// Keeps the names and messages of this library's warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            event.record(&mut self.clone());
        }
    }
}

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.lock().expect("no panic").push(format!("{value:?}"));
        }
    }
}

/// The warnings that this function causes on this thread.
fn warnings_of(work: impl FnOnce()) -> Vec<String> {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(warnings.clone()), work);
    let all = warnings.0.lock().expect("no panic");
    all.clone()
}

#[test]
fn a_sentry_that_is_dropped_says_so_once() {
    let warnings = warnings_of(|| drop(Sentry::builder().with_dsn("").with_traces_sample_rate(1.0).build().unwrap()));
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("Sentry was dropped without a shutdown, so nothing is sent any more"), "{warning}");
}

#[test]
fn a_sentry_that_is_shut_down_or_refused_says_nothing() {
    run_alone("dropped::alone_shut_down", &[]);
}

#[test]
#[ignore = "installs Sentry; the test before runs it in a process of its own"]
fn alone_shut_down() {
    let builder = || Sentry::builder().with_dsn("").with_traces_sample_rate(1.0);
    let warnings = warnings_of(|| {
        let first = builder().install().unwrap();
        assert!(builder().install().is_err());
        first.shutdown(PATIENCE).unwrap();
    });
    assert_eq!(warnings, [] as [String; 0]);
}
