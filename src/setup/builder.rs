//! The settings of Sentry, and how they become one.

use std::{
    fmt,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

#[cfg(feature = "metrics")]
use opentelemetry::metrics::MeterProvider;
use opentelemetry::{Key, Value, global};
use opentelemetry_http::HttpClient;
#[cfg(feature = "logs")]
use opentelemetry_sdk::logs::{LoggerProviderBuilder, SdkLoggerProvider};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracerProvider, SpanProcessor, TracerProviderBuilder},
};
#[cfg(feature = "logs")]
use opentelemetry_sentry_exporter::SentryLogProcessor;
#[cfg(feature = "metrics")]
use opentelemetry_sentry_exporter::SentryMeterProvider;
use opentelemetry_sentry_exporter::{
    ErrorEvent, ExporterBuildError, Problem, SentryExporter, SentryExporterBuilder, SentrySpanProcessor,
    TraceLifecycle, TransactionEvent,
};
use opentelemetry_sentry_propagator::SentryPropagator;
use opentelemetry_sentry_sampler::{SamplingContext, SentrySampler};

#[cfg(feature = "tracing")]
use super::queries::Known;
use super::{
    driven::DrivenSentry,
    environment::Environment,
    error::{Kind, SetupError},
    sender::Sender,
    sentry::{DROP_TIMEOUT, Sentry},
};

impl Sentry {
    /// Begins to set up Sentry. Everything has a default; what is not set in code comes from [`SENTRY_*` variables].
    ///
    /// [`SENTRY_*` variables]: crate::guide::environment
    pub fn builder() -> SentryBuilder {
        SentryBuilder::default()
    }
}

/// Sets up [`Sentry`].
///
/// Each setting comes from code; if it is not set there, from the [environment](crate::guide::environment), then from
/// the resource, then from a default.
///
/// The setters here are those that most services need. Every other option of the exporter (tags, filters, scrubbing,
/// limits, compression, …) is set through [`with_exporter`](Self::with_exporter).
///
/// ```
/// use opentelemetry_sentry::Sentry;
///
/// let sentry = Sentry::builder()
///     .with_dsn("https://public@o1.ingest.sentry.io/1")
///     .with_traces_sample_rate(0.25)
///     .with_exporter(|exporter| exporter.with_tag("team", "shop").with_backpressure(true))
///     .build()?;
/// # Ok::<(), opentelemetry_sentry::SetupError>(())
/// ```
#[must_use]
pub struct SentryBuilder {
    rate: Option<f64>,
    sampler: Option<SentrySampler>,
    org_id: Option<u64>,
    strict: bool,
    resource: Option<Resource>,
    /// Holds every setting that the exporter has too, so that no setting can have two values.
    exporter: SentryExporterBuilder,
    provider: TracerProviderBuilder,
    #[cfg(feature = "logs")]
    pub(super) logs: bool,
    #[cfg(feature = "metrics")]
    pub(super) metrics: bool,
    /// Gets every measurement too.
    #[cfg(feature = "metrics")]
    pub(super) inner_meters: Option<Box<dyn MeterProvider + Send + Sync>>,
    #[cfg(feature = "tracing")]
    pub(super) query_spans: bool,
    #[cfg(feature = "tracing")]
    pub(super) database_system: Option<String>,
}

impl fmt::Debug for SentryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentryBuilder").field("exporter", &self.exporter).finish_non_exhaustive()
    }
}

impl Default for SentryBuilder {
    fn default() -> Self {
        Self {
            rate: None,
            sampler: None,
            org_id: None,
            strict: false,
            resource: None,
            exporter: SentryExporter::builder(),
            provider: SdkTracerProvider::builder(),
            #[cfg(feature = "logs")]
            logs: false,
            #[cfg(feature = "metrics")]
            metrics: false,
            #[cfg(feature = "metrics")]
            inner_meters: None,
            #[cfg(feature = "tracing")]
            query_spans: true,
            #[cfg(feature = "tracing")]
            database_system: None,
        }
    }
}

impl SentryBuilder {
    /// Sets the DSN of the project to send to. Defaults to `SENTRY_DSN`.
    ///
    /// An empty text means none, also if `SENTRY_DSN` is set. Without a DSN trace headers are still passed on, and
    /// nothing is sent.
    pub fn with_dsn(self, dsn: impl Into<String>) -> Self {
        self.with_exporter(|exporter| exporter.with_dsn(dsn))
    }

    /// Sets the release. Defaults to `SENTRY_RELEASE`, else to `service.name@service.version` of the resource if it
    /// has a version, else to none.
    ///
    /// ```
    /// # use opentelemetry_sentry::Sentry;
    /// let builder = Sentry::builder().with_release(concat!(env!("CARGO_PKG_NAME"), "@", env!("CARGO_PKG_VERSION")));
    /// ```
    pub fn with_release(self, release: impl Into<String>) -> Self {
        self.with_exporter(|exporter| exporter.with_release(release))
    }

    /// Sets the environment, such as `staging`. Defaults to `SENTRY_ENVIRONMENT`, else to `deployment.environment.name`
    /// of the resource, else to `production`.
    pub fn with_environment(self, environment: impl Into<String>) -> Self {
        self.with_exporter(|exporter| exporter.with_environment(environment))
    }

    /// Sets the name of this machine. Defaults to `SENTRY_NAME`, else to `host.name` of the resource, else to the host
    /// name that the operating system knows.
    pub fn with_server_name(self, name: impl Into<String>) -> Self {
        self.with_exporter(|exporter| exporter.with_server_name(name))
    }

    /// Sets the share of traces to sample among those that arrive without a decision or begin here, from 0 to 1.
    /// Defaults to `SENTRY_TRACES_SAMPLE_RATE`, else to none: then nothing is recorded here, and the decision is left
    /// to the next service.
    ///
    /// A rate in code that is not a number from 0 to 1 is an error of [`build`](Self::build). Such a rate in the
    /// variable is ignored, as in all of Sentry's SDKs, and logged with the feature `internal-logs`.
    pub const fn with_traces_sample_rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets a function that returns the sample rate of each trace that begins or arrives here. It takes the place of
    /// the rate. Defaults to none.
    ///
    /// It is also asked about traces that arrive with a decision: [`SamplingContext::inherit_or_sample_with`] keeps
    /// that decision. If it returns anything but a number from 0 to 1, or panics, the trace is not sampled.
    ///
    /// ```
    /// # use opentelemetry_sentry::Sentry;
    /// let builder = Sentry::builder().with_traces_sampler(|context| {
    ///     if context.name.starts_with("GET /health") { 0.0 } else { context.inherit_or_sample_with(0.1) }
    /// });
    /// ```
    pub fn with_traces_sampler(self, f: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        self.with_sampler(SentrySampler::function(f))
    }

    /// Sets a sampler with rules or limits. It takes the place of the rate and of a function. Defaults to none.
    ///
    /// ```
    /// use opentelemetry_sentry::{Sentry, SentrySampler, sampler::Rule};
    ///
    /// let sampler = SentrySampler::builder()
    ///     .with_rule(Rule::health_checks())
    ///     .with_rate(0.1)
    ///     .with_max_traces_per_second(50)
    ///     .build()?;
    /// let builder = Sentry::builder().with_sampler(sampler);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_sampler(mut self, sampler: SentrySampler) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// Sets the organisation's id. Defaults to the one in the DSN's host (`o123.…`), else to none.
    pub const fn with_org_id(mut self, id: u64) -> Self {
        self.org_id = Some(id);
        self
    }

    /// Sets whether a trace is continued only if both services name the same organisation. Defaults to `false`: then a
    /// trace is also continued if one of them names none.
    pub const fn with_strict_trace_continuation(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets in which of Sentry's two forms spans leave: as transactions, or one by one as a stream. Defaults to
    /// `SENTRY_TRACE_LIFECYCLE` (`static` or `stream`), else to [`TraceLifecycle::Transactions`].
    ///
    /// Streamed spans leave within five seconds after their end, whether their local root has ended or not. They need
    /// Sentry SaaS or self-hosted Sentry from 26.4.2 on. Hooks and filters for transactions are then errors of [`build`](Self::build), and tags reach errors
    /// only: see the guide, page [`lifecycles`](crate::guide::lifecycles).
    ///
    /// ```
    /// use opentelemetry_sentry::{Sentry, TraceLifecycle};
    ///
    /// let builder = Sentry::builder().with_lifecycle(TraceLifecycle::Stream);
    /// ```
    pub fn with_lifecycle(self, lifecycle: TraceLifecycle) -> Self {
        self.with_exporter(|exporter| exporter.with_lifecycle(lifecycle))
    }

    /// Adds an attribute to all streamed spans, logs and metrics. Transactions and errors have [tags](SentryExporterBuilder::with_tag)
    /// instead. An attribute of the span itself beats it. Defaults to none. See
    /// [`SentryExporterBuilder::with_attribute`].
    ///
    /// ```
    /// use opentelemetry_sentry::{Sentry, TraceLifecycle};
    ///
    /// let builder = Sentry::builder().with_lifecycle(TraceLifecycle::Stream).with_attribute("tenant", "acme");
    /// ```
    pub fn with_attribute(self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.with_exporter(|exporter| exporter.with_attribute(key, value))
    }

    /// Sets a hook that can change each transaction before it is sent, or drop it by returning `None`. With
    /// [`TraceLifecycle::Stream`] it is an error of [`build`](Self::build). Defaults to none. See [`TransactionEvent`].
    ///
    /// ```
    /// # use opentelemetry_sentry::Sentry;
    /// let builder = Sentry::builder().with_before_send_transaction(|mut transaction| {
    ///     transaction.data.remove("db.query.text");
    ///     (transaction.name != "GET /internal").then_some(transaction)
    /// });
    /// ```
    pub fn with_before_send_transaction(
        self,
        f: impl Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync + 'static,
    ) -> Self {
        self.with_exporter(|exporter| exporter.with_before_send_transaction(f))
    }

    /// Sets whether the exceptions that spans record become error events in their trace: those of
    /// `#[instrument(err)]`, of `error!(error = …)` and of OpenTelemetry's `record_error`. Defaults to `false`.
    ///
    /// They come from spans, so a trace that is not sampled has none; with the feature `logs`, records in any trace make
    /// errors too. See
    /// [`SentryExporterBuilder::with_exceptions_as_errors`].
    pub fn with_exceptions_as_errors(self, on: bool) -> Self {
        self.with_exporter(|exporter| exporter.with_exceptions_as_errors(on))
    }

    /// Sets a hook that may change each error event before it is sent, or drop it by returning `None`. See
    /// [`SentryExporterBuilder::with_before_send_error`]. Defaults to none.
    ///
    /// ```
    /// use opentelemetry_sentry::Sentry;
    ///
    /// let builder = Sentry::builder().with_exceptions_as_errors(true).with_before_send_error(|mut error| {
    ///     error.fingerprint = vec![error.exception_type.clone(), error.message.clone()];
    ///     (error.level != "debug").then_some(error)
    /// });
    /// ```
    pub fn with_before_send_error(self, f: impl Fn(ErrorEvent) -> Option<ErrorEvent> + Send + Sync + 'static) -> Self {
        self.with_exporter(|exporter| exporter.with_before_send_error(f))
    }

    /// Sets a directory for envelopes that cannot be delivered yet: during an outage, when the queue is full, and at the
    /// deadline of a flush or a shutdown. This process or the next one sends them when the server can be reached.
    /// Defaults to none. See [`SentryExporterBuilder::with_spool_dir`].
    pub fn with_spool_dir(self, dir: impl Into<PathBuf>) -> Self {
        self.with_exporter(|exporter| exporter.with_spool_dir(dir))
    }

    /// Sets the resource that describes this service. Defaults to the SDK's, which reads `OTEL_SERVICE_NAME` and
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn with_resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets the HTTP client. Defaults to the built-in one of the feature `reqwest-rustls` or `reqwest-client`.
    ///
    /// The exporter calls it on its own thread, inside a tokio runtime. It must not follow redirects.
    pub fn with_http_client(self, client: impl HttpClient + 'static) -> Self {
        self.with_exporter(|exporter| exporter.with_http_client(client))
    }

    /// Sets the URL of a tunnel, as the option `tunnel` of Sentry's SDKs: a server that forwards envelopes to Sentry. Sentry's
    /// Lambda extension is one, another service with a `web::Tunnel` is one too. Defaults to `SENTRY_TUNNEL`, else to none. An
    /// empty text means none, also if the variable is set. See [`SentryExporterBuilder::with_tunnel`].
    ///
    /// ```
    /// use opentelemetry_sentry::Sentry;
    ///
    /// let builder = Sentry::builder().with_tunnel("http://localhost:9000/envelope");
    /// ```
    pub fn with_tunnel(self, url: impl Into<String>) -> Self {
        self.with_exporter(|exporter| exporter.with_tunnel(url))
    }

    /// Sets the URL of a local [Spotlight](https://spotlightjs.com), which gets a copy of everything, with or without
    /// a DSN. Defaults to `SENTRY_SPOTLIGHT`, else to none.
    ///
    /// The variable is a URL, or `true`, `t`, `yes`, `y`, `on` or `1` for `http://localhost:8969/stream`.
    pub fn with_spotlight(self, url: impl Into<String>) -> Self {
        self.with_exporter(|exporter| exporter.with_spotlight(url))
    }

    /// Adds a span processor: a second destination beside Sentry, which sees the same sampled spans. Defaults to none.
    pub fn with_span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.provider = self.provider.with_span_processor(processor);
        self
    }

    /// Sets any option of the exporter: tags, filters, hooks, scrubbing, limits, compression, certificates, metrics.
    ///
    /// ```
    /// use opentelemetry_sentry::{Sentry, SpanFilter};
    ///
    /// let sentry = Sentry::builder()
    ///     .with_exporter(|exporter| {
    ///         exporter
    ///             .with_queue_limit(8 << 20)
    ///             .with_tag_attributes(["tenant"])
    ///             .with_ignore_transactions(["GET /health*"])
    ///             .with_ignore_spans([SpanFilter::new().with_op("cache.*")])
    ///             .with_scrubber(|key, _| (key == "card.number").then(|| "[card]".into()))
    ///     })
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry::SetupError>(())
    /// ```
    ///
    /// The closure gets the builder to which the setters above write as well. So a setting that both have is one setting,
    /// and its last call counts: a DSN, a release or an environment that is set in the closure also holds for outgoing
    /// headers, and beats its variable. A [`Service`](SentryExporterBuilder::with_service) takes the place
    /// of DSN, release, environment and their variables, wherever they are set. The
    /// [decision log](SentryExporterBuilder::with_decision_log) is always that of the sampler.
    pub fn with_exporter(mut self, f: impl FnOnce(SentryExporterBuilder) -> SentryExporterBuilder) -> Self {
        self.exporter = f(self.exporter);
        self
    }

    /// Sets everything up without touching anything global.
    ///
    /// # Errors
    ///
    /// If a setting is invalid, from code, from `SENTRY_DSN` or from `SENTRY_TRACE_LIFECYCLE`; if there is no HTTP client; or if no thread can be
    /// started.
    pub fn build(self) -> Result<Sentry, SetupError> {
        self.build_with(Environment::read())
    }

    /// Sets everything up without a thread for delivery, and without touching anything global. The application takes the
    /// requests from the [`DrivenSentry`] and sends them itself: on runtimes without threads, such as browsers and edge
    /// workers, and on those that freeze between two invocations.
    ///
    /// ```
    /// use opentelemetry_sentry::{DrivenSentry, Sentry, Take};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sentry = Sentry::builder().with_traces_sample_rate(1.0).build_driven()?;
    /// // … at the end of an invocation, with the HTTP client of the runtime:
    /// # async fn at_the_end(sentry: DrivenSentry) -> Result<(), Box<dyn std::error::Error>> {
    /// # async fn fetch(_: http::Request<opentelemetry_http::Bytes>) -> Result<http::Response<()>, std::io::Error> {
    /// #     Ok(http::Response::new(()))
    /// # }
    /// sentry.flush_with(Take::Everything, fetch).await?;
    /// # Ok(()) }
    /// # drop(at_the_end(sentry));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If a setting is invalid, or needs the thread, as a spool directory does.
    pub fn build_driven(self) -> Result<DrivenSentry, SetupError> {
        let (sentry, delivery) = self.build_by(Environment::read(), SentryExporterBuilder::build_driven)?;
        Ok(DrivenSentry::new(sentry, delivery))
    }

    /// As [`build_driven`](Self::build_driven), and makes propagator and tracer provider the global ones.
    ///
    /// # Errors
    ///
    /// As [`build_driven`](Self::build_driven), and if this process has called it or [`install`](Self::install) before.
    pub fn install_driven(self) -> Result<DrivenSentry, SetupError> {
        let (sentry, delivery) = self.build_driven()?.into_parts();
        Ok(DrivenSentry::new(Self::make_global(sentry)?, delivery))
    }

    /// Sets everything up, and makes propagator and tracer provider the global ones; with the feature `metrics` and
    /// `with_metrics`, also the meter provider.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and if this process has called it before.
    pub fn install(self) -> Result<Sentry, SetupError> {
        Self::make_global(self.build()?)
    }

    fn make_global(mut sentry: Sentry) -> Result<Sentry, SetupError> {
        static INSTALLED: AtomicBool = AtomicBool::new(false);

        if INSTALLED.swap(true, Ordering::AcqRel) {
            // Not by a drop, which would warn that nothing is sent any more.
            let _ = sentry.shutdown(DROP_TIMEOUT);
            return Err(Kind::AlreadyInstalled.into());
        }
        global::set_text_map_propagator(sentry.propagator.clone());
        global::set_tracer_provider(sentry.provider.clone());
        #[cfg(feature = "metrics")]
        if sentry.has_metrics {
            global::set_meter_provider(sentry.meters.clone());
        }
        sentry.is_installed = true;
        Ok(sentry)
    }

    fn build_with(self, environment: Environment) -> Result<Sentry, SetupError> {
        let (sentry, ()) = self.build_by(environment, |exporter| Ok((exporter.build()?, ())))?;
        Ok(sentry)
    }

    /// Sets everything up, with an exporter that is built in one of two ways.
    fn build_by<D>(
        self,
        environment: Environment,
        build: impl FnOnce(SentryExporterBuilder) -> Result<(SentryExporter, D), ExporterBuildError>,
    ) -> Result<(Sentry, D), SetupError> {
        #[cfg(feature = "logs")]
        let with_logs = self.logs;
        #[cfg(feature = "metrics")]
        let (with_metrics, inner) = (self.metrics, self.inner_meters);
        #[cfg(feature = "tracing")]
        let queries =
            self.query_spans.then(|| Known::new(self.database_system.clone(), environment.database_scheme.as_deref()));
        let Self { rate, sampler, org_id, strict, resource, mut exporter, provider, .. } = self;
        let resource = resource.unwrap_or_else(|| Resource::builder().build());
        let sender = Sender::new(exporter.take_sender(), org_id, &environment, &resource)?;
        let rate = rate.or(environment.traces_sample_rate);
        let no_rate = (sampler.is_none() && rate.is_none())
            .then(|| environment.bad_sample_rate.map_or(Problem::TracingOff, Problem::BadSampleRate));
        let sampler = match (sampler, rate) {
            (Some(sampler), _) => sampler,
            (None, Some(rate)) => SentrySampler::rate(rate).map_err(Kind::Rate)?,
            (None, None) => SentrySampler::off(),
        };
        let sampler = sender.without_own_requests(sampler);
        let propagator = SentryPropagator::builder()
            .with_service(sender.service.clone())
            .with_strict_trace_continuation(strict)
            .with_decision_log(sampler.decision_log())
            .build()
            .map_err(Kind::Propagator)?;
        let exporter = sender.give_to(exporter).with_decision_log(sampler.decision_log());
        let (exporter, delivery) = build(exporter).map_err(Kind::Exporter)?;
        let processor = SentrySpanProcessor::from(exporter);
        let (handle, decisions) = (sampler.handle(), sampler.decision_log());
        #[cfg(feature = "logs")]
        let loggers = logger_provider(with_logs.then_some(&processor), &resource);
        #[cfg(feature = "metrics")]
        let meters = meter_provider(with_metrics.then_some(&processor), inner);
        let provider = provider.with_resource(resource).with_sampler(sampler);
        let provider = provider.with_span_processor(processor.clone()).build();
        let sentry = Sentry {
            provider,
            propagator,
            processor,
            sampler: handle,
            no_rate,
            decisions,
            is_installed: false,
            is_shut_down: false,
            #[cfg(feature = "tracing")]
            queries,
            #[cfg(feature = "logs")]
            loggers,
            #[cfg(feature = "metrics")]
            meters,
            #[cfg(feature = "metrics")]
            has_metrics: with_metrics,
        };
        Ok((sentry, delivery))
    }
}

/// A logger provider that shares the exporter's thread with a span processor; without one its records go nowhere.
#[cfg(feature = "logs")]
fn logger_provider(spans: Option<&SentrySpanProcessor>, resource: &Resource) -> SdkLoggerProvider {
    let builder = SdkLoggerProvider::builder().with_resource(resource.clone());
    let logs = spans.map(SentryLogProcessor::from);
    logs.into_iter().fold(builder, LoggerProviderBuilder::with_log_processor).build()
}

/// A meter provider that shares the exporter's thread with a span processor; without one its measurements go nowhere, or to
/// the inner provider alone.
#[cfg(feature = "metrics")]
fn meter_provider(
    spans: Option<&SentrySpanProcessor>,
    inner: Option<Box<dyn MeterProvider + Send + Sync>>,
) -> SentryMeterProvider {
    let provider = spans.map_or_else(SentryMeterProvider::disabled, SentryMeterProvider::from);
    match inner {
        Some(inner) => provider.with_inner(Inner(inner)),
        None => provider,
    }
}

/// A meter provider of any type.
#[cfg(feature = "metrics")]
struct Inner(Box<dyn MeterProvider + Send + Sync>);

#[cfg(feature = "metrics")]
impl MeterProvider for Inner {
    fn meter_with_scope(&self, scope: opentelemetry::InstrumentationScope) -> opentelemetry::metrics::Meter {
        self.0.meter_with_scope(scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_none_is_a_problem_unless_another_one_is_set() {
        let environment = || Environment { bad_sample_rate: Some("10%".to_owned()), ..Environment::default() };
        let problems = |builder: SentryBuilder| builder.build_with(environment()).unwrap().check();
        let bad = Problem::BadSampleRate("10%".to_owned());
        assert!(bad.to_string().contains("\"10%\""));
        assert!(problems(Sentry::builder().with_dsn("")).contains(&bad));
        assert!(!problems(Sentry::builder().with_dsn("").with_traces_sample_rate(0.5)).contains(&bad));
    }

    #[test]
    fn a_tunnel_comes_from_code_or_from_its_variable() {
        let environment = |url: &str| Environment { tunnel: Some(url.to_owned()), ..Environment::default() };
        let build =
            |builder: SentryBuilder, url| builder.with_dsn("http://public@127.0.0.1/1").build_with(environment(url));
        let error = build(Sentry::builder(), "nowhere").unwrap_err();
        assert!(error.to_string().contains("SENTRY_TUNNEL") && error.to_string().contains("\"nowhere\""), "{error}");
        for code in ["", "http://localhost:9000/envelope"] {
            let sentry = build(Sentry::builder().with_tunnel(code), "nowhere").unwrap();
            let _ = sentry.shutdown(std::time::Duration::ZERO);
        }
    }
}
