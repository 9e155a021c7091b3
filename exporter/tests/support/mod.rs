//! What the tests of the conversion share: an exporter with its ingest, and spans made by hand.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::{
    error::OTelSdkError,
    trace::{SpanData, SpanEvents, SpanExporter, SpanLinks},
};
use opentelemetry_sentry_exporter::{
    SentryExporter, SentryExporterBuilder,
    testing::{Envelope, LocalIngest},
};

/// An exporter that sends to an ingest of its own.
pub(crate) struct Pipeline {
    pub(crate) ingest: LocalIngest,
    pub(crate) exporter: SentryExporter,
    traces: AtomicU64,
}

impl Pipeline {
    /// Starts both; the exporter has only a DSN until `set_up` says more.
    pub(crate) fn start(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let builder = SentryExporter::builder().with_dsn(ingest.dsn());
        let exporter = set_up(builder).build().expect("a valid setup");
        Self { ingest, exporter, traces: AtomicU64::new(1) }
    }

    /// The id of a trace that was not sent yet.
    pub(crate) fn new_trace(&self) -> TraceId {
        let number = self.traces.fetch_add(1, Ordering::Relaxed);
        TraceId::from_bytes((u128::from(number) << 64 | 0x5e17).to_be_bytes())
    }

    /// Sends spans in the order in which they ended, and returns what arrived of them and of nothing else.
    pub(crate) fn send(&self, spans: Vec<SpanData>) -> Vec<Envelope> {
        self.ingest.clear();
        let export = pin!(self.exporter.export(spans)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(export, Poll::Ready(Ok(()))), "{export:?}");
        // A flush that lost something is an error, too, and is over; one that ran out of time is not.
        let is_over = || !matches!(self.exporter.force_flush(), Err(OTelSdkError::Timeout(_)));
        assert!((0..4).any(|_| is_over()), "the flush takes too long");
        self.ingest.envelopes()
    }
}

/// An internal span of a second that just ended; parent 0 is none.
pub(crate) fn span(trace_id: TraceId, id: u64, parent: u64) -> SpanData {
    let id_of = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    let now = SystemTime::now();
    SpanData {
        span_context: SpanContext::new(trace_id, id_of(id), TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: id_of(parent),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "orig".into(),
        start_time: now - Duration::from_secs(1),
        end_time: now,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}
