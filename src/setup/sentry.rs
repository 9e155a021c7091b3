//! Sentry, set up and running.

use std::{sync::Arc, time::Duration};

use opentelemetry::{global, otel_warn};
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sentry_exporter::{FlushError, Problem, SentrySpanProcessor, Stats};
use opentelemetry_sentry_propagator::SentryPropagator;
use opentelemetry_sentry_protocol::DecisionLog;
use opentelemetry_sentry_sampler::SamplerHandle;
use web_time::Instant;

use super::checkup::{is_ours, propagator_problem};
#[cfg(feature = "tracing")]
use super::queries::{Known, QueryLayer, QuerySpans};

/// The layer of [`Sentry::tracing_layer`].
#[cfg(feature = "tracing")]
pub type TracingLayer<S> = tracing_subscriber::layer::Layered<
    QueryLayer<S>,
    tracing_subscriber::filter::Filtered<
        tracing_opentelemetry::OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>,
        super::queries::WithoutQueries,
        S,
    >,
    S,
>;

/// The layer of [`Sentry::log_layer`].
#[cfg(all(feature = "logs", feature = "tracing"))]
pub type LogLayer<S> =
    tracing_subscriber::filter::Filtered<super::log_layer::EventLayer, tracing_subscriber::filter::LevelFilter, S>;

/// How long a `Sentry` that is dropped without a shutdown may take to send what is left, as in Sentry's SDKs.
pub(super) const DROP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long [`Sentry::check`] waits for the server.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The instrumentation scope of `tracing` spans.
#[cfg(feature = "tracing")]
const SCOPE: &str = "opentelemetry-sentry";

/// A running Sentry: a tracer provider whose spans are sent there, and the propagator that belongs to it.
///
/// [`Sentry::builder`] sets it up. Keep it until the end of `main`, and call [`shutdown`](Self::shutdown) there. If it
/// is dropped instead, it shuts down within two seconds, and logs a warning (feature `internal-logs`).
///
/// See the [crate documentation](crate) for an example.
#[derive(Debug)]
#[must_use = "dropping it shuts Sentry down: bind it to a name that lives as long as `main`, not to `_`"]
pub struct Sentry {
    pub(super) provider: SdkTracerProvider,
    pub(super) propagator: SentryPropagator,
    pub(super) processor: SentrySpanProcessor,
    pub(super) sampler: SamplerHandle,
    /// The problem if no sample rate and no sampler was set. `check` reports it, as such a service records nothing.
    pub(super) no_rate: Option<Problem>,
    pub(super) decisions: Arc<DecisionLog>,
    /// `install` has made its provider the global one. After `build` the application may work without a global one.
    pub(super) is_installed: bool,
    /// Otherwise a drop after a shutdown would warn, too.
    pub(super) is_shut_down: bool,
    /// `None` if queries get no spans.
    #[cfg(feature = "tracing")]
    pub(super) queries: Option<Known>,
    #[cfg(feature = "logs")]
    pub(super) loggers: opentelemetry_sdk::logs::SdkLoggerProvider,
    #[cfg(feature = "metrics")]
    pub(super) meters: opentelemetry_sentry_exporter::SentryMeterProvider,
    /// Otherwise `install` leaves the global meter provider as it is.
    #[cfg(feature = "metrics")]
    pub(super) has_metrics: bool,
}

impl Sentry {
    /// The tracer provider. [`install`](crate::SentryBuilder::install) makes it the global one.
    #[must_use]
    pub const fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// The propagator. [`install`](crate::SentryBuilder::install) makes it the global one.
    #[must_use]
    pub const fn propagator(&self) -> &SentryPropagator {
        &self.propagator
    }

    /// Changes the sample rate and the limit while the process runs.
    ///
    /// ```
    /// # let sentry = opentelemetry_sentry::Sentry::builder().with_dsn("").build()?;
    /// // from an admin route or a feature flag:
    /// sentry.sampler().set_rate(Some(0.02))?;
    /// sentry.sampler().set_max_traces_per_second(Some(10.0))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn sampler(&self) -> &SamplerHandle {
        &self.sampler
    }

    /// A layer for `tracing_subscriber` that turns `tracing` spans of level INFO and above into OpenTelemetry spans of
    /// this provider, as `sentry-tracing` does, and makes spans of [queries](crate::guide::queries). Spans at DEBUG and TRACE show the inside of libraries such as `h2`; for
    /// these, and for other options, see [`unfiltered_tracing_layer`](Self::unfiltered_tracing_layer).
    ///
    /// A subscriber can have only one layer of `tracing-opentelemetry`: with two, the first span panics. To send spans to
    /// another back end as well, add its processor with
    /// [`with_span_processor`](crate::SentryBuilder::with_span_processor). Inside of a `reload::Layer` the layer cannot be
    /// found by `OpenTelemetrySpanExt`; reload a filter on it instead.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// # let sentry = opentelemetry_sentry::Sentry::builder().with_dsn("").build()?;
    /// let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
    /// # drop(subscriber);
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn tracing_layer<S>(&self) -> TracingLayer<S>
    where
        S: tracing_core::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        use tracing_subscriber::Layer as _;
        let queries = self.query_spans();
        self.unfiltered_tracing_layer().with_filter(queries.neighbour()).and_then(queries.into_layer())
    }

    /// The layer that makes spans of queries: for use beside the
    /// [`unfiltered_tracing_layer`](Self::unfiltered_tracing_layer), which does not contain it.
    ///
    /// ```
    /// use tracing_subscriber::{filter::LevelFilter, prelude::*};
    ///
    /// # let sentry = opentelemetry_sentry::Sentry::builder().with_dsn("").build()?;
    /// let layer = sentry.unfiltered_tracing_layer().with_location(false);
    /// let subscriber =
    ///     tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO)).with(sentry.query_layer());
    /// # drop(subscriber);
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn query_layer<S>(&self) -> QueryLayer<S>
    where
        S: tracing_core::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        self.query_spans().into_layer()
    }

    #[cfg(feature = "tracing")]
    fn query_spans(&self) -> QuerySpans {
        use opentelemetry::trace::TracerProvider as _;
        let tracer = self.queries.is_some().then(|| self.provider.tracer(SCOPE));
        QuerySpans::with(tracer, self.queries.clone().unwrap_or_default(), Some(Arc::clone(&self.decisions)))
    }

    /// The layer of [`tracing_layer`](Self::tracing_layer) for spans of all levels, with all its options. Attributes that
    /// few people look for are off: thread, busy and idle time, and target.
    ///
    /// ```
    /// use tracing_subscriber::{filter::LevelFilter, prelude::*};
    ///
    /// # let sentry = opentelemetry_sentry::Sentry::builder().with_dsn("").build()?;
    /// // `data` of spans then has busy and idle time, and no file, line and module:
    /// let layer = sentry.unfiltered_tracing_layer().with_tracked_inactivity(true).with_location(false);
    /// let subscriber = tracing_subscriber::registry().with(layer.with_filter(LevelFilter::DEBUG));
    /// # drop(subscriber);
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn unfiltered_tracing_layer<S>(
        &self,
    ) -> tracing_opentelemetry::OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: tracing_core::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        use opentelemetry::trace::TracerProvider as _;
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer(SCOPE));
        layer.with_threads(false).with_tracked_inactivity(false).with_target(false)
    }

    /// The logger provider, for appenders of other logging libraries. Its records go to Sentry if
    /// [`with_logs`](crate::SentryBuilder::with_logs) is on. OpenTelemetry has no global logger provider.
    #[cfg(feature = "logs")]
    #[must_use]
    pub const fn logger_provider(&self) -> &opentelemetry_sdk::logs::SdkLoggerProvider {
        &self.loggers
    }

    /// The meter provider. Its measurements go to Sentry if [`with_metrics`](crate::SentryBuilder::with_metrics) is on; then
    /// [`install`](crate::SentryBuilder::install) makes it the global one.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub const fn meter_provider(&self) -> &opentelemetry_sentry_exporter::SentryMeterProvider {
        &self.meters
    }

    /// A layer for `tracing_subscriber` that turns `tracing` events of level INFO and above into log records of this
    /// provider. A record has the fields of its event as attributes, and belongs to the active span. Its filter is not that
    /// of the [`tracing_layer`](Self::tracing_layer); for other levels, also by target, see
    /// [`unfiltered_log_layer`](Self::unfiltered_log_layer).
    ///
    /// An error in a field, as in `error!(error = &e as &dyn Error)`, keeps its message, the name of its type and its causes.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// # let sentry = opentelemetry_sentry::Sentry::builder().with_dsn("").with_logs(true).build()?;
    /// let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer()).with(sentry.log_layer());
    /// # drop(subscriber);
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    #[cfg(all(feature = "logs", feature = "tracing"))]
    #[must_use]
    pub fn log_layer<S>(&self) -> LogLayer<S>
    where
        S: tracing_core::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        use tracing_subscriber::Layer as _;
        self.unfiltered_log_layer().with_filter(tracing_subscriber::filter::LevelFilter::INFO)
    }

    /// The layer of [`log_layer`](Self::log_layer) for events of all levels.
    ///
    /// ```
    /// use tracing_subscriber::{filter::{LevelFilter, Targets}, prelude::*};
    ///
    /// # let sentry = opentelemetry_sentry::Sentry::builder().with_dsn("").with_logs(true).build()?;
    /// let levels = Targets::new().with_default(LevelFilter::INFO).with_target("shop", LevelFilter::DEBUG);
    /// let layer = sentry.unfiltered_log_layer().with_filter(levels);
    /// let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer()).with(layer);
    /// # drop(subscriber);
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    #[cfg(all(feature = "logs", feature = "tracing"))]
    #[must_use]
    pub fn unfiltered_log_layer(&self) -> super::log_layer::EventLayer {
        use opentelemetry::logs::LoggerProvider as _;
        super::log_layer::EventLayer::new(self.loggers.logger(""))
    }

    /// The span processor. A clone of it still returns the stats after the shutdown.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let sentry = opentelemetry_sentry::Sentry::builder().with_dsn("").build()?;
    /// let processor = sentry.span_processor().clone();
    /// sentry.shutdown(Duration::from_secs(2))?;
    /// eprintln!("{}", processor.stats());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn span_processor(&self) -> &SentrySpanProcessor {
        &self.processor
    }

    /// Checks the set-up and returns every problem that it finds, each of which prints as a sentence.
    ///
    /// It asks the server whether it accepts the DSN (for up to five seconds), compares clocks, tries the global propagator
    /// and tracer provider, and compares the requests whose headers were read with the spans that began. Call it when
    /// the service has answered some requests. The [guide](crate::guide::delivery#nothing-arrives) lists the problems.
    ///
    /// ```no_run
    /// # let sentry = opentelemetry_sentry::Sentry::builder().build()?;
    /// for problem in sentry.check() {
    ///     eprintln!("{problem}");
    /// }
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.processor.check(CHECK_TIMEOUT);
        if let Some(no_rate) = self.no_rate.as_ref().filter(|_| self.sampler.rate().is_none()) {
            problems.retain(|problem| *problem != Problem::NoSpans);
            problems.push(no_rate.clone());
        }
        let propagator = global::get_text_map_propagator(propagator_problem);
        if propagator == Some(Problem::NoPropagator) {
            // No wonder that it has read nothing.
            problems.retain(|problem| !matches!(problem, Problem::UnreadHeaders(_)));
        }
        problems.extend(propagator);
        let needs_provider = self.is_installed || uses_global_provider();
        if needs_provider && !is_ours(&global::tracer("opentelemetry-sentry"), &self.decisions) {
            problems.push(Problem::OtherProvider);
        }
        problems
    }

    /// What was received, sent and dropped so far. With neither a DSN nor Spotlight nothing is received.
    ///
    /// The [guide](crate::guide::delivery#reasons) lists the reasons for which something is dropped.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.processor.stats()
    }

    /// Sends every span that has ended so far, and waits until the server has accepted all of them.
    ///
    /// Spans whose local root is still open are sent without it. Any thread may call this, also one of an async
    /// runtime, which it then blocks.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout`, if a span was lost since the last flush, if spans are kept on disk for later,
    /// or after a shutdown. The [guide](crate::guide::delivery#flush-and-shutdown) lists all errors.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.processor.flush(timeout)
    }

    /// Sends every span that has ended so far, and shuts the tracer provider down.
    ///
    /// It takes the `Sentry`. A clone of its [`span_processor`](Self::span_processor) has the [`stats`](Self::stats) also
    /// afterwards, with the reasons of what was lost.
    ///
    /// # Errors
    ///
    /// If a span was lost since the last flush or is kept on disk for later, or if the tracer provider was shut down
    /// before. What is not delivered within `timeout` is kept on disk if there is a spool directory; otherwise it is
    /// dropped and counted. The [guide](crate::guide::delivery#flush-and-shutdown) lists all errors.
    pub fn shutdown(mut self, timeout: Duration) -> Result<(), FlushError> {
        self.is_shut_down = true;
        self.end(timeout)
    }

    fn end(&self, timeout: Duration) -> Result<(), FlushError> {
        let start = Instant::now();
        let result = self.processor.shutdown(timeout);
        // Other processors get the time that is left. Ours returns an error here, as it is shut down already.
        let _ = self.provider.shutdown_with_timeout(timeout.saturating_sub(start.elapsed()));
        #[cfg(feature = "logs")]
        let _ = self.loggers.shutdown_with_timeout(timeout.saturating_sub(start.elapsed()));
        result
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        if self.is_shut_down {
            return;
        }
        // A `Sentry` that is not kept is dropped as soon as it is set up. Nothing else would say why nothing arrives.
        let lost = self.end(DROP_TIMEOUT).err().map(|error| format!(" ({error})")).unwrap_or_default();
        otel_warn!(name: "Sentry.Dropped", message = format!("Sentry was dropped without a shutdown{lost}, so nothing is sent any more: keep it in a variable until the end of main, and call its shutdown there"));
    }
}

/// Whether a layer of `web` has made a span with the global tracer provider.
#[cfg(feature = "tower")]
fn uses_global_provider() -> bool {
    super::globals::is_provider_used()
}

#[cfg(not(feature = "tower"))]
const fn uses_global_provider() -> bool {
    false
}
