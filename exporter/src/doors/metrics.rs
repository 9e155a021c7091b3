//! The numbers of [`Stats`] as OpenTelemetry metrics.

use std::sync::{Arc, Weak};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};

use crate::{account::Stats, engine::Engine};

/// Where a number is.
type Number = fn(&Stats) -> u64;

/// Counters without attributes: name, what they count, where the number is.
const COUNTERS: [(&str, &str, Number); 5] = [
    ("sentry.spans.received", "Spans that ended.", |stats| stats.spans_received),
    ("sentry.spans.sent", "Spans that Sentry accepted.", |stats| stats.spans_sent),
    ("sentry.spans.spooled", "Spans that were kept on disk.", |stats| stats.spans_spooled),
    ("sentry.transactions.sent", "Transactions that Sentry accepted.", |stats| stats.transactions_sent),
    ("sentry.errors.sent", "Error events that Sentry accepted.", |stats| stats.errors_sent),
];

/// What goes up and down: name, unit, what it is, where the number is.
const GAUGES: [(&str, &str, &str, Number); 3] = [
    ("sentry.spans.pending", "{span}", "Spans that were neither sent nor dropped yet.", |stats| stats.spans_pending),
    ("sentry.buffer.size", "By", "Spans that wait, as estimated.", |stats| stats.pending_bytes),
    ("sentry.queue.size", "By", "Serialised envelopes that wait.", |stats| stats.queued_bytes),
];

/// Registers them; they are read whenever the meter's reader collects, for as long as the engine lives.
pub(crate) fn export(meter: &Meter, engine: &Arc<Engine>) {
    for (name, description, number) in COUNTERS {
        let counter = meter.u64_observable_counter(name).with_description(description);
        counter.with_callback(reading(engine, number)).build();
    }
    for (name, unit, description, number) in GAUGES {
        let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(description);
        gauge.with_callback(reading(engine, number)).build();
    }
    let engine = Arc::downgrade(engine);
    let dropped = meter.u64_observable_counter("sentry.spans.dropped").with_description("Spans that were dropped.");
    let observe = move |observer: &dyn AsyncInstrument<u64>| {
        for (reason, dropped) in stats(&engine).into_iter().flat_map(|stats| stats.dropped) {
            observer.observe(dropped.spans, &[KeyValue::new("reason", reason.as_str())]);
        }
    };
    dropped.with_callback(observe).build();
}

fn reading(engine: &Arc<Engine>, number: Number) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
    let engine = Arc::downgrade(engine);
    move |observer| {
        if let Some(stats) = stats(&engine) {
            observer.observe(number(&stats), &[]);
        }
    }
}

fn stats(engine: &Weak<Engine>) -> Option<Stats> {
    engine.upgrade().map(|engine| engine.stats())
}
