//! What the tests of the exporter share: an exporter with an ingest, and spans made by hand.

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

/// How often a flush may time out. Only a test that hangs needs this many.
const FLUSHES: usize = 24;

/// An exporter and the ingest to which it sends.
pub(crate) struct Pipeline {
    pub(crate) ingest: LocalIngest,
    pub(crate) exporter: SentryExporter,
    traces: AtomicU64,
}

impl Pipeline {
    /// Starts both. `set_up` gets a builder that has only the DSN.
    pub(crate) fn start(set_up: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        let ingest = LocalIngest::start().expect("a free port");
        let builder = SentryExporter::builder().with_dsn(ingest.dsn());
        let exporter = set_up(builder).build().expect("a valid setup");
        Self { ingest, exporter, traces: AtomicU64::new(1) }
    }

    /// The id of a new trace.
    pub(crate) fn new_trace(&self) -> TraceId {
        let number = self.traces.fetch_add(1, Ordering::Relaxed);
        TraceId::from_bytes((u128::from(number) << 64 | 0x5e17).to_be_bytes())
    }

    /// Exports spans in the order in which they ended, and returns the envelopes with them.
    pub(crate) fn send(&self, spans: Vec<SpanData>) -> Vec<Envelope> {
        self.ingest.clear();
        let export = pin!(self.exporter.export(spans)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(export, Poll::Ready(Ok(()))), "{export:?}");
        // A flush times out after five seconds, which a busy machine may exceed. Any other error means that it is over.
        let is_over = || !matches!(self.exporter.force_flush(), Err(OTelSdkError::Timeout(_)));
        assert!((0..FLUSHES).any(|_| is_over()), "the flush hangs");
        self.ingest.envelopes()
    }
}

/// An internal span that took a second and has just ended. Without a parent if `parent` is 0.
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
