//! One call that sets up everything.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use opentelemetry::{Key, Value, global, metrics::Meter, otel_debug};
use opentelemetry_http::HttpClient;
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracerProvider, SpanProcessor, TracerProviderBuilder},
};
use opentelemetry_sentry_exporter::{
    Encoding, FlushError, Problem, SentryExporter, SentryExporterBuilder, SentrySpanProcessor, SpanEvent, SpanFilter,
    Stats, TransactionEvent,
};
use opentelemetry_sentry_propagator::SentryPropagator;
use opentelemetry_sentry_protocol::{Dsn, InvalidDsn, Service};
use opentelemetry_sentry_sampler::{SamplerHandle, SamplingContext, SentrySampler};
use opentelemetry_sentry_semantics::semconv;

use super::{
    checkup::propagator_problem,
    environment::Environment,
    error::{Kind, SetupError},
};

/// How long a `Sentry` that is dropped without a shutdown may take to send what is left, as in Sentry's SDKs.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a check may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The name under which `tracing` spans appear as an instrumentation.
#[cfg(feature = "tracing")]
const SCOPE: &str = "opentelemetry-sentry";

/// Sentry, set up: a tracer provider whose traces go there, and the propagator that belongs to it.
///
/// Keep it until the end of `main`, and end with [`shutdown`](Self::shutdown). Dropping it does the same within two
/// seconds.
///
/// See the [crate documentation](crate) for an example.
#[derive(Debug)]
#[must_use = "dropping it ends Sentry"]
pub struct Sentry {
    provider: SdkTracerProvider,
    propagator: SentryPropagator,
    processor: SentrySpanProcessor,
    sampler: SamplerHandle,
    /// Whether nobody said how many traces to keep.
    is_tracing_off: bool,
}

impl Sentry {
    /// Begins to set up Sentry. Everything has a default; what is not set in code comes from `SENTRY_*` variables.
    pub fn builder() -> SentryBuilder {
        SentryBuilder::default()
    }

    /// The tracer provider. [`install`](SentryBuilder::install) makes it the global one.
    #[must_use]
    pub const fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// The propagator. [`install`](SentryBuilder::install) makes it the global one.
    #[must_use]
    pub const fn propagator(&self) -> &SentryPropagator {
        &self.propagator
    }

    /// Changes the sample rate and the limit while the process runs.
    #[must_use]
    pub const fn sampler(&self) -> &SamplerHandle {
        &self.sampler
    }

    /// A layer for `tracing_subscriber` that turns `tracing` spans into OpenTelemetry spans of this provider.
    #[cfg(feature = "tracing")]
    #[must_use]
    pub fn tracing_layer<S>(&self) -> tracing_opentelemetry::OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: tracing_core::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        use opentelemetry::trace::TracerProvider as _;
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer(SCOPE))
    }

    /// The span processor. Keep a clone to read its stats after the shutdown, too.
    #[must_use]
    pub const fn span_processor(&self) -> &SentrySpanProcessor {
        &self.processor
    }

    /// Looks at the set-up, and returns what is wrong with it, each as a sentence; an empty list if nothing is.
    ///
    /// It asks the server whether it takes our DSN (which may take five seconds), compares clocks, and looks at the
    /// global propagator. Call it when some spans have ended.
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
        if self.is_tracing_off && self.sampler.rate().is_none() {
            problems.retain(|problem| *problem != Problem::NoSpans);
            problems.push(Problem::TracingOff);
        }
        problems.extend(global::get_text_map_propagator(propagator_problem));
        problems
    }

    /// What was received, sent and dropped so far. Without a DSN nothing is received.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.processor.stats()
    }

    /// Sends every span that has ended so far, and waits until all have arrived.
    ///
    /// Spans whose local root is still open are sent without it. It may be called from anywhere, also inside of any
    /// async runtime, where it blocks the thread.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout`, if a span could not be delivered since the last flush, or after a shutdown.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.processor.flush(timeout)
    }

    /// Sends every span that has ended so far, and ends the tracer provider.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout` (what is left is then dropped and counted), if a span could not be delivered
    /// since the last flush, or if the tracer provider was shut down before.
    pub fn shutdown(self, timeout: Duration) -> Result<(), FlushError> {
        self.end(timeout)
    }

    fn end(&self, timeout: Duration) -> Result<(), FlushError> {
        let start = Instant::now();
        let result = self.processor.close(timeout);
        // Other processors get the time that is left; ours answers that it is closed already.
        let _ = self.provider.shutdown_with_timeout(timeout.saturating_sub(start.elapsed()));
        result
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        // After a shutdown there is nothing left to do; otherwise nobody is there to hear of a failure.
        let _ = self.end(DROP_TIMEOUT);
    }
}

/// Sets up [`Sentry`].
///
/// What is not set comes from the environment, then from the resource, then from a default; code beats all of them.
#[derive(Debug)]
#[must_use]
pub struct SentryBuilder {
    /// Parsed at once, so that no text with a secret is kept.
    dsn: Option<Option<Result<Dsn, InvalidDsn>>>,
    release: Option<String>,
    environment: Option<String>,
    server_name: Option<String>,
    org_id: Option<u64>,
    strict: bool,
    rate: Option<f64>,
    spotlight: Option<String>,
    sampler: Option<SentrySampler>,
    resource: Option<Resource>,
    exporter: SentryExporterBuilder,
    provider: TracerProviderBuilder,
}

impl Default for SentryBuilder {
    fn default() -> Self {
        Self {
            dsn: None,
            release: None,
            environment: None,
            server_name: None,
            org_id: None,
            strict: false,
            rate: None,
            spotlight: None,
            sampler: None,
            resource: None,
            exporter: SentryExporter::builder(),
            provider: SdkTracerProvider::builder(),
        }
    }
}

impl SentryBuilder {
    /// Sets where to send to. Defaults to `SENTRY_DSN`, else to nowhere: then headers are still passed on, and nothing
    /// is sent. An empty text is nowhere, too.
    pub fn with_dsn(mut self, dsn: impl Into<String>) -> Self {
        self.dsn = Some(parsed(&dsn.into()));
        self
    }

    /// Sets the release. Defaults to `SENTRY_RELEASE`, else to `service.name@service.version` of the resource if it
    /// has a version, else to none.
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the environment. Defaults to `SENTRY_ENVIRONMENT`, else to `deployment.environment.name` of the resource,
    /// else to `production`.
    pub fn with_environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the name of this machine. Defaults to `SENTRY_NAME`, else to `host.name` of the resource, else to the name
    /// that the operating system has for it.
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets the rate at which traces are kept that nobody decided about before, from 0 to 1. Defaults to
    /// `SENTRY_TRACES_SAMPLE_RATE`, else to none: then nothing is recorded here, and the decision is left to others.
    ///
    /// As in all of Sentry's SDKs, a variable that is not a number from 0 to 1 is ignored. The feature `internal-logs`
    /// tells of that.
    pub const fn with_traces_sample_rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets a function that returns the rate for each trace that begins or arrives here. It beats the rate.
    ///
    /// It is asked about traces that came in decided, too: [`SamplingContext::inherit_or_sample_with`] keeps those as
    /// they are. A number that is not in `0.0..=1.0` means that the trace is not sampled.
    pub fn with_traces_sampler(mut self, f: impl Fn(&SamplingContext<'_>) -> f64 + Send + Sync + 'static) -> Self {
        self.sampler = Some(SentrySampler::function(f));
        self
    }

    /// Sets a sampler that was built by hand. It beats the rate, and takes the place of a function.
    pub fn with_sampler(mut self, sampler: SentrySampler) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// Sets the organisation's id. Defaults to the one in the DSN's host (`o123.…`), if there is one.
    pub const fn with_org_id(mut self, id: u64) -> Self {
        self.org_id = Some(id);
        self
    }

    /// Sets whether a trace is continued only if both sides name the same organisation. Defaults to `false`.
    pub const fn with_strict_trace_continuation(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Sets the resource that describes this service. Defaults to the SDK's, which reads `OTEL_SERVICE_NAME` and
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn with_resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets the HTTP client. Defaults to the one that the crate's features bring along.
    ///
    /// It is called on a thread of our own, inside a tokio runtime. It must not follow redirects.
    pub fn with_http_client(mut self, client: impl HttpClient + 'static) -> Self {
        self.exporter = self.exporter.with_http_client(client);
        self
    }

    /// Sets the URL of a local [Spotlight](https://spotlightjs.com) that gets a copy of everything, with or without a
    /// DSN. Defaults to what `SENTRY_SPOTLIGHT` says: a URL, or `true`, `t`, `yes`, `y`, `on` or `1` for
    /// `http://localhost:8969/stream`; otherwise to none.
    pub fn with_spotlight(mut self, url: impl Into<String>) -> Self {
        self.spotlight = Some(url.into());
        self
    }

    /// Adds a tag to all transactions and error events. An empty or reserved key (`dist`, `environment`, `filename`,
    /// `function`, `release`, `user`) is an error of [`build`](Self::build); an empty value is no tag.
    pub fn with_tag(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.exporter = self.exporter.with_tag(key, value);
        self
    }

    /// Makes tags of these attributes: those of the root of a transaction or the span of an error event, else of the
    /// first span of the transaction that has them, else of the resource.
    pub fn with_tag_attributes(mut self, attributes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.exporter = self.exporter.with_tag_attributes(attributes);
        self
    }

    /// Adds a function that is shown every attribute before anything leaves, and returns the value to send instead of
    /// one that must not be shown. Secrets are filtered by the names of their attributes before. See
    /// [`SentryExporterBuilder::with_scrubber`].
    pub fn with_scrubber(mut self, f: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        self.exporter = self.exporter.with_scrubber(f);
        self
    }

    /// Sets whether secrets are filtered by the names of their attributes, and user info in URLs. Defaults to `true`.
    pub fn with_default_scrubbing(mut self, on: bool) -> Self {
        self.exporter = self.exporter.with_default_scrubbing(on);
        self
    }

    /// Sets a hook that may change each transaction before it is sent, or drop it by returning `None`. See
    /// [`TransactionEvent`].
    pub fn with_before_send_transaction(
        mut self,
        f: impl Fn(TransactionEvent) -> Option<TransactionEvent> + Send + Sync + 'static,
    ) -> Self {
        self.exporter = self.exporter.with_before_send_transaction(f);
        self
    }

    /// Sets a hook that may change each span before its transaction is sent. See [`SpanEvent`].
    pub fn with_before_send_span(mut self, f: impl Fn(&mut SpanEvent) + Send + Sync + 'static) -> Self {
        self.exporter = self.exporter.with_before_send_span(f);
        self
    }

    /// Adds filters for transactions that are not sent. They look at the root; a text is a pattern for names, such as
    /// `GET /health*`. See [`SpanFilter`].
    pub fn with_ignore_transactions(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.exporter = self.exporter.with_ignore_transactions(filters);
        self
    }

    /// Adds filters for spans that are not sent; their children move up to their parent. See [`SpanFilter`].
    pub fn with_ignore_spans(mut self, filters: impl IntoIterator<Item = impl Into<SpanFilter>>) -> Self {
        self.exporter = self.exporter.with_ignore_spans(filters);
        self
    }

    /// Sets whether exceptions that spans tell of become error events of their own, in their trace: those of
    /// `#[instrument(err)]`, of `error!(error = …)` and of OpenTelemetry's `record_error`. Defaults to `false`. They come
    /// from spans: of traces that are not sampled nothing is seen. See
    /// [`SentryExporterBuilder::with_exceptions_as_errors`].
    pub fn with_exceptions_as_errors(mut self, on: bool) -> Self {
        self.exporter = self.exporter.with_exceptions_as_errors(on);
        self
    }

    /// Sets how long a trace waits, when its local root has ended, for spans that end a little later. Defaults to 50 ms;
    /// a flush and a shutdown do not wait for it. Spans that come later still are sent as transactions of their own.
    pub fn with_late_span_grace(mut self, grace: Duration) -> Self {
        self.exporter = self.exporter.with_late_span_grace(grace);
        self
    }

    /// Sets a directory in which envelopes are kept that could not be delivered: when the network is down, at the
    /// deadline of a shutdown, or when too much waits. They are sent when it works again, also by the next process. See
    /// [`SentryExporterBuilder::with_spool_dir`]. Defaults to none.
    pub fn with_spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.exporter = self.exporter.with_spool_dir(dir);
        self
    }

    /// Sets how large bodies are compressed. Defaults to gzip, which every Sentry takes.
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.exporter = self.exporter.with_encoding(encoding);
        self
    }

    /// Sets whether the sample rate is halved, step by step, for as long as the server limits us or the queue is full.
    /// What is lost by that is counted as `backpressure`. Defaults to `false`.
    pub fn with_backpressure(mut self, on: bool) -> Self {
        self.exporter = self.exporter.with_backpressure(on);
        self
    }

    /// Trusts these certificates (PEM, one or more) beside those of the system, for a Sentry or a proxy with a
    /// certificate of its own. For the built-in HTTP client only.
    pub fn with_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.exporter = self.exporter.with_root_certificate(pem);
        self
    }

    /// Exports the numbers of [`Stats`] as metrics of this meter. See
    /// [`SentryExporterBuilder::with_internal_metrics`] for their names.
    pub fn with_internal_metrics(mut self, meter: &Meter) -> Self {
        self.exporter = self.exporter.with_internal_metrics(meter);
        self
    }

    /// Adds a span processor: a second destination beside Sentry, which sees the same sampled spans.
    pub fn with_span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.provider = self.provider.with_span_processor(processor);
        self
    }

    /// Sets everything up without touching anything global.
    ///
    /// # Errors
    ///
    /// If a setting is invalid, from code or from `SENTRY_DSN`; if there is no HTTP client; or if no thread can be
    /// started.
    pub fn build(self) -> Result<Sentry, SetupError> {
        self.build_with(Environment::read())
    }

    /// Sets everything up, and makes propagator and tracer provider the global ones.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), and if this process has called it before.
    pub fn install(self) -> Result<Sentry, SetupError> {
        static INSTALLED: AtomicBool = AtomicBool::new(false);

        let sentry = self.build()?;
        if INSTALLED.swap(true, Ordering::AcqRel) {
            return Err(SetupError { kind: Kind::AlreadyInstalled });
        }
        global::set_text_map_propagator(sentry.propagator.clone());
        global::set_tracer_provider(sentry.provider.clone());
        Ok(sentry)
    }

    fn build_with(self, environment: Environment) -> Result<Sentry, SetupError> {
        let resource = self.resource.unwrap_or_else(|| Resource::builder().build());
        let (setting, dsn) = match self.dsn {
            Some(dsn) => ("with_dsn", dsn),
            None => ("SENTRY_DSN", environment.dsn.as_deref().and_then(parsed)),
        };
        let dsn = dsn.transpose().map_err(|error| Kind::Dsn(setting, error))?;
        if dsn.is_none() {
            otel_debug!(name: "Sentry.NoDsn", message = "headers are passed on, and no span is sent");
        }
        let service = Service::new(dsn)
            .with_release(self.release.or(environment.release))
            .with_environment(self.environment.or(environment.environment))
            .with_org_id(self.org_id)
            .or_from_resource(|key| text(&resource, key));
        let is_tracing_off = self.sampler.is_none() && self.rate.is_none() && environment.traces_sample_rate.is_none();
        let sampler = match self.sampler {
            Some(sampler) => sampler,
            None => sampler(self.rate, environment.traces_sample_rate)?,
        };
        let spotlight = self.spotlight.or(environment.spotlight);
        let sampler = without_own_requests(sampler, &service, spotlight.as_deref());
        let propagator = SentryPropagator::builder()
            .with_service(service.clone())
            .with_strict_trace_continuation(self.strict)
            .with_decision_log(sampler.decision_log())
            .build()
            .map_err(Kind::Propagator)?;
        let name = self.server_name.or(environment.server_name);
        let name = name.or_else(|| text(&resource, semconv::HOST_NAME)).unwrap_or_else(host_name);
        let exporter = self.exporter.with_server_name(name).with_decision_log(sampler.decision_log());
        let exporter = spotlight.into_iter().fold(exporter, SentryExporterBuilder::with_spotlight);
        let exporter = exporter.with_service(service).build().map_err(Kind::Exporter)?;
        let processor = SentrySpanProcessor::from(exporter);
        let handle = sampler.handle();
        let provider = self.provider.with_resource(resource).with_sampler(sampler);
        let provider = provider.with_span_processor(processor.clone()).build();
        Ok(Sentry { provider, propagator, processor, sampler: handle, is_tracing_off })
    }
}

/// Sentry's own requests are made with telemetry suppressed; this is for those of others, such as a tunnel.
fn without_own_requests(sampler: SentrySampler, service: &Service, spotlight: Option<&str>) -> SentrySampler {
    let own = service.dsn().map(Dsn::envelope_url).into_iter().chain(spotlight.map(str::to_owned));
    own.fold(sampler, |sampler, url| sampler.without_requests_to(&url))
}

/// A DSN that is empty is none.
fn parsed(dsn: &str) -> Option<Result<Dsn, InvalidDsn>> {
    (!dsn.trim().is_empty()).then(|| dsn.parse())
}

fn sampler(code: Option<f64>, environment: Option<f64>) -> Result<SentrySampler, SetupError> {
    match code.or(environment) {
        Some(rate) => SentrySampler::rate(rate).map_err(|error| SetupError { kind: Kind::Rate(error) }),
        None => Ok(SentrySampler::off()),
    }
}

fn text(resource: &Resource, key: &'static str) -> Option<String> {
    resource.get(&Key::from_static_str(key)).map(|value| value.to_string()).filter(|text| !text.is_empty())
}

fn host_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
