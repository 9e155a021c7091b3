//! The numbers of [`Stats`] as OpenTelemetry metrics.

use std::sync::{Arc, Weak};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};

use crate::{
    account::{Dropped, Stats},
    engine::Engine,
};

/// Reads one number.
type Number = fn(&Stats) -> u64;

/// Counters without attributes: name, description, number.
const COUNTERS: [(&str, &str, Number); 12] = [
    ("sentry.spans.received", "Spans that ended.", |stats| stats.spans_received),
    ("sentry.spans.sent", "Spans that Sentry accepted.", |stats| stats.spans_sent),
    ("sentry.spans.spooled", "Spans that were kept on disk.", |stats| stats.spans_spooled),
    ("sentry.transactions.sent", "Transactions that Sentry accepted.", |stats| stats.transactions_sent),
    ("sentry.errors.sent", "Error events that Sentry accepted.", |stats| stats.errors_sent),
    ("sentry.check_ins.sent", "Check-ins that Sentry accepted.", |stats| stats.check_ins_sent),
    ("sentry.logs.received", "Logs that were emitted.", |stats| stats.logs_received),
    ("sentry.logs.sent", "Logs that Sentry accepted.", |stats| stats.logs_sent),
    ("sentry.logs.spooled", "Logs that were kept on disk.", |stats| stats.logs_spooled),
    ("sentry.metrics.received", "Metrics that were to be sent.", |stats| stats.metrics_received),
    ("sentry.metrics.sent", "Metrics that Sentry accepted.", |stats| stats.metrics_sent),
    ("sentry.metrics.spooled", "Metrics that were kept on disk.", |stats| stats.metrics_spooled),
];

/// Reads one number of what was dropped for a reason.
type OfDropped = fn(&Dropped) -> u64;

/// Counters with the attribute `reason`: name, description, number.
const DROPPED: [(&str, &str, OfDropped); 6] = [
    ("sentry.spans.dropped", "Spans that were dropped.", |dropped| dropped.spans),
    ("sentry.errors.dropped", "Error events that were dropped.", |dropped| dropped.errors),
    ("sentry.logs.dropped", "Logs that were dropped.", |dropped| dropped.logs),
    ("sentry.logs.dropped.size", "The size of these logs, as Sentry counts it.", |dropped| dropped.log_bytes),
    ("sentry.metrics.dropped", "Metrics that were dropped.", |dropped| dropped.metrics),
    ("sentry.metrics.dropped.size", "The size of these metrics, as Sentry counts it.", |dropped| dropped.metric_bytes),
];

/// Gauges: name, unit, description, number.
const GAUGES: [(&str, &str, &str, Number); 5] = [
    ("sentry.spans.pending", "{span}", "Spans that were neither sent nor dropped yet.", |stats| stats.spans_pending),
    ("sentry.logs.pending", "{log}", "Logs that were neither sent nor dropped yet.", |stats| stats.logs_pending),
    ("sentry.metrics.pending", "{metric}", "Metrics that were neither sent nor dropped yet.", |stats| {
        stats.metrics_pending
    }),
    ("sentry.buffer.size", "By", "Estimated bytes of spans that wait to be converted.", |stats| stats.pending_bytes),
    ("sentry.queue.size", "By", "Serialised envelopes that wait to be sent.", |stats| stats.queued_bytes),
];

/// Registers the instruments. They are read when the meter's reader collects, as long as the engine lives. They hold no
/// strong reference: a meter lives as long as the process and would keep the exporter alive.
pub(crate) fn export(meter: &Meter, engine: &Arc<Engine>) {
    for (name, description, number) in COUNTERS {
        let counter = meter.u64_observable_counter(name).with_description(description);
        counter.with_callback(reading(engine, number)).build();
    }
    for (name, unit, description, number) in GAUGES {
        let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(description);
        gauge.with_callback(reading(engine, number)).build();
    }
    for (name, description, number) in DROPPED {
        let counter = meter.u64_observable_counter(name).with_description(description);
        counter.with_callback(reading_dropped(engine, number)).build();
    }
}

fn reading(engine: &Arc<Engine>, number: Number) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
    let engine = Arc::downgrade(engine);
    move |observer| {
        if let Some(stats) = stats(&engine) {
            observer.observe(number(&stats), &[]);
        }
    }
}

fn reading_dropped(
    engine: &Arc<Engine>,
    number: OfDropped,
) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
    let engine = Arc::downgrade(engine);
    move |observer| {
        let dropped = stats(&engine).into_iter().flat_map(|stats| stats.dropped);
        // A reason for which only something else was dropped is left out.
        for (reason, number) in
            dropped.map(|(reason, dropped)| (reason, number(&dropped))).filter(|(_, number)| *number > 0)
        {
            observer.observe(number, &[KeyValue::new("reason", reason.as_str())]);
        }
    }
}

fn stats(engine: &Weak<Engine>) -> Option<Stats> {
    engine.upgrade().map(|engine| engine.stats())
}
