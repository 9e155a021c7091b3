//! The `tracing` layer that makes a span of each query, and the filters of this layer and its neighbour.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Context as OtelContext, KeyValue, SpanId,
    trace::{Span as _, SpanBuilder, SpanKind, TraceContextExt, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use opentelemetry_sentry_protocol::{
    __shared::{has_context, own_thread},
    DecisionLog,
};
use opentelemetry_sentry_semantics::{is_database_key, semconv};
use tracing_core::{
    Dispatch, Event, LevelFilter, Metadata, Subscriber, dispatcher::WeakDispatch, subscriber::Interest,
};
use tracing_subscriber::{
    filter::Filtered,
    layer::{Context, Filter, Layer},
    registry::LookupSpan,
};

use super::{event::Query, statement::Statement, system::Known};
use crate::setup::environment::database_scheme;

/// The target under which `sqlx` logs each query.
const TARGET: &str = "sqlx::query";

/// The field that each of these events has.
const SUMMARY: &str = "summary";

/// The level of the spans that the `tracing` layer records.
const SPANS: LevelFilter = LevelFilter::INFO;

/// Makes a span of each query that `sqlx` logs: a child of the active span, with the query's text, its duration and its
/// rows. The guide has the [rules](crate::guide::queries).
///
/// [`Sentry::tracing_layer`](crate::Sentry::tracing_layer) contains it. It is needed by itself beside
/// [`unfiltered_tracing_layer`](crate::Sentry::unfiltered_tracing_layer), which
/// [`Sentry::query_layer`](crate::Sentry::query_layer) is for, and beside a layer of `tracing-opentelemetry` that the
/// application has built itself:
///
/// ```
/// use opentelemetry::trace::TracerProvider;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use opentelemetry_sentry::{QuerySpans, SentryExporter, SentrySampler, SentrySpanProcessor};
/// use tracing_subscriber::{filter::LevelFilter, prelude::*};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sampler = SentrySampler::rate(0.25)?;
/// let decisions = sampler.decision_log();
/// let exporter = SentryExporter::builder().with_decision_log(decisions.clone()).build()?;
/// let processor = SentrySpanProcessor::from(exporter);
/// let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor).build();
///
/// let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
/// let queries = QuerySpans::new(provider.tracer("shop")).with_decision_log(decisions);
/// let subscriber = tracing_subscriber::registry()
///     .with(spans.with_filter(LevelFilter::INFO))
///     .with(queries.into_layer());
/// # drop(subscriber);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct QuerySpans {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` if the application has switched the spans off.
    tracer: Option<SdkTracer>,
    known: Known,
    /// Knows which spans are of databases that were not made with `tracing`.
    decisions: Option<Arc<DecisionLog>>,
    /// The subscriber of the layer, for the OpenTelemetry span of a `tracing` span.
    dispatch: OnceLock<WeakDispatch>,
}

/// The layer of [`QuerySpans`]: it sees `sqlx`'s queries at all levels, other events not at all, and spans from INFO on.
pub type QueryLayer<S> = Filtered<QuerySpans, QueryFilter, S>;

impl QuerySpans {
    /// Makes the spans with this tracer, whose provider should be that of the spans around the queries.
    pub fn new(tracer: SdkTracer) -> Self {
        Self::with(Some(tracer), Known::new(None, database_scheme().as_deref()), None)
    }

    pub(in crate::setup) fn with(tracer: Option<SdkTracer>, known: Known, decisions: Option<Arc<DecisionLog>>) -> Self {
        if let Some(decisions) = decisions.as_ref().filter(|_| tracer.is_some()) {
            decisions.databases().expect_queries();
        }
        Self { shared: Arc::new(Shared { tracer, known, decisions, dispatch: OnceLock::new() }) }
    }

    /// Sets the name of the database, in OpenTelemetry's words, such as `postgresql`. Defaults to what the statements and
    /// `DATABASE_URL` tell: see [`SentryBuilder::with_database_system`](crate::SentryBuilder::with_database_system).
    pub fn with_database_system(self, system: impl Into<String>) -> Self {
        let Shared { tracer, known, decisions, .. } = &*self.shared;
        Self::with(tracer.clone(), known.with_system(system.into()), decisions.clone())
    }

    /// Shares the decision log of sampler and exporter. With it no query gets a second span inside of a database span that
    /// was made without `tracing`. Defaults to none.
    pub fn with_decision_log(self, decisions: Arc<DecisionLog>) -> Self {
        let Shared { tracer, known, .. } = &*self.shared;
        Self::with(tracer.clone(), known.clone(), Some(decisions))
    }

    /// The layer, with its filter.
    #[must_use]
    pub fn into_layer<S>(self) -> QueryLayer<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let filter = QueryFilter { is_on: self.shared.tracer.is_some() };
        self.with_filter(filter)
    }

    /// The filter of the layer beside this one, which turns `tracing` spans into OpenTelemetry's.
    pub(in crate::setup) fn neighbour(&self) -> WithoutQueries {
        WithoutQueries { queries: self.clone() }
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for QuerySpans {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // The first one counts: a layer belongs to one subscriber.
        let _ = self.shared.dispatch.set(dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let end = SystemTime::now();
        let Some((tracer, parent)) = self.shared.tracer.as_ref().zip(self.shared.parent(event, &cx)) else { return };
        let mut query = Query::default();
        event.record(&mut query);
        let mut span = tracer.build_with_context(self.shared.span(&query, end), &parent);
        span.end_with_timestamp(end);
    }
}

impl Shared {
    /// The context whose span has made a query. `None` if the query gets no span: outside of all spans, in a trace that is
    /// not sampled, in a span of the same query, or on a thread that ends.
    fn parent<S>(&self, event: &Event<'_>, cx: &Context<'_, S>) -> Option<OtelContext>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        if own_thread::is_marked() || event.metadata().fields().field(SUMMARY).is_none() || !has_context() {
            return None;
        }
        let of_tracing = cx.event_span(event);
        // Also a field that is filled in later, which the sampler does not see.
        let fields = of_tracing.iter().flat_map(|span| span.metadata().fields());
        if fields.into_iter().any(|field| is_database_key(field.name())) {
            return None;
        }
        let context = self.context(event, of_tracing.map(|span| span.id()))?;
        let span = context.span();
        let is_recorded = span.is_recording() && !context.is_telemetry_suppressed();
        let is_free = is_recorded && !self.is_database(span.span_context().span_id());
        is_free.then_some(context)
    }

    /// The context of an event: that of the span which is its explicit parent, else the active one.
    fn context(&self, event: &Event<'_>, span: Option<tracing_core::span::Id>) -> Option<OtelContext> {
        let of_span = || {
            let dispatch = self.dispatch.get()?.upgrade()?;
            tracing_opentelemetry::get_otel_context(&span?, &dispatch)
        };
        if event.parent().is_some() {
            return of_span();
        }
        // It may be a span that was made without `tracing`, inside of the `tracing` span.
        let active = event.is_contextual().then(OtelContext::current)?;
        // A layer without context activation activates none.
        if active.span().span_context().is_valid() { Some(active) } else { of_span() }
    }

    fn is_database(&self, span_id: SpanId) -> bool {
        self.decisions.as_ref().is_some_and(|decisions| decisions.databases().has(span_id))
    }

    fn span(&self, query: &Query, end: SystemTime) -> SpanBuilder {
        let text = query.text();
        let statement = Statement::read(text);
        let system = self.known.system_of(&statement);
        let elapsed = query.elapsed.unwrap_or(Duration::ZERO);
        // A time before 1970 is no time of a query, and cannot be sent.
        let start = end.checked_sub(elapsed).filter(|start| *start >= UNIX_EPOCH).unwrap_or(end);
        let attributes = attributes(query, text, system, &statement);
        let name = if statement.summary.is_empty() { system.to_owned() } else { statement.summary };
        SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_start_time(start).with_attributes(attributes)
    }
}

/// The attributes of a query's span, the most important ones first: a provider may limit their number.
fn attributes(query: &Query, text: &str, system: &str, statement: &Statement) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(12);
    let mut add = |key: &'static str, value: opentelemetry::Value| attributes.push(KeyValue::new(key, value));
    add(semconv::DB_SYSTEM_NAME, system.to_owned().into());
    let texts = [
        (semconv::DB_QUERY_TEXT, Some(text)),
        (semconv::DB_QUERY_SUMMARY, Some(statement.summary.as_str())),
        (semconv::DB_OPERATION_NAME, Some(statement.operation.as_str())),
        (semconv::DB_COLLECTION_NAME, statement.collection.as_deref()),
        (semconv::DB_STORED_PROCEDURE_NAME, statement.procedure.as_deref()),
        ("slow_threshold", query.slow_threshold.as_deref()),
    ];
    for (key, text) in texts {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            add(key, text.to_owned().into());
        }
    }
    let numbers = [
        (semconv::DB_RESPONSE_RETURNED_ROWS, query.rows_returned),
        ("rows_returned", query.rows_returned),
        ("rows_affected", query.rows_affected),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            add(key, number.into());
        }
    }
    if query.slow_threshold.is_some() {
        add("db.query.slow", true.into());
    }
    add(semconv::SENTRY_ORIGIN, "auto.db.sqlx".into());
    attributes
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("is_on", &self.tracer.is_some())
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// What a [`QueryLayer`] sees.
///
/// It lets the events of queries through at the level at which `sqlx` logs them, which is DEBUG. Because it is the filter
/// of one layer, the levels of all others stay as they are.
#[derive(Clone, Debug)]
pub struct QueryFilter {
    is_on: bool,
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Filter<S> for QueryFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.sees(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        interest(metadata, self.sees(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // Never less than the layer below: of two layers that are joined before they get to a registry, `tracing-subscriber`
        // takes the hint of the upper one for that of both.
        Some(if self.is_on { LevelFilter::DEBUG } else { SPANS })
    }
}

impl QueryFilter {
    fn sees(&self, metadata: &Metadata<'_>) -> bool {
        // The spans around a query are looked at, and no layer sees the spans that its filter hides. What is no span is an
        // event, or the question of `sqlx` whether one would be seen.
        let is_seen = if metadata.is_span() { *metadata.level() <= SPANS } else { metadata.target() == TARGET };
        self.is_on && is_seen
    }
}

fn interest(metadata: &Metadata<'_>, is_seen: bool) -> Interest {
    match (is_seen, metadata.target()) {
        (false, _) => Interest::never(),
        // `event_enabled` may only refuse an event that was asked about before.
        (true, TARGET) => Interest::sometimes(),
        (true, _) => Interest::always(),
    }
}

/// What the layer of `tracing-opentelemetry` beside a [`QueryLayer`] sees: everything of level INFO and above, without the
/// queries that get a span.
#[derive(Clone, Debug)]
pub struct WithoutQueries {
    queries: QuerySpans,
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Filter<S> for WithoutQueries {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        *metadata.level() <= SPANS
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        interest(metadata, *metadata.level() <= SPANS)
    }

    /// A slow query would otherwise be a span, and an event of the span around it as well.
    fn event_enabled(&self, event: &Event<'_>, cx: &Context<'_, S>) -> bool {
        let shared = &self.queries.shared;
        let is_query = shared.tracer.is_some() && event.metadata().target() == TARGET;
        !(is_query && shared.parent(event, cx).is_some())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(SPANS)
    }
}
