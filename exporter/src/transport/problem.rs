//! What is wrong with the setup? The answers are sentences, for a developer whose Sentry project stays empty.

use std::fmt;

/// A mistake in the setup that keeps spans from Sentry or makes them misleading there. It prints as a sentence.
///
/// Log all of them, and act on those that matter to the application:
///
/// ```
/// use std::time::Duration;
///
/// use opentelemetry_sentry_exporter::{Problem, SentryExporter, SentrySpanProcessor, testing::LocalIngest};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ingest = LocalIngest::start()?;
/// ingest.answer_with(opentelemetry_sentry_exporter::testing::Answer::status(403));
/// let processor = SentrySpanProcessor::from(SentryExporter::builder().with_dsn(ingest.dsn()).build()?);
///
/// let problems = processor.check(Duration::from_secs(10));
/// for problem in &problems {
///     eprintln!("{problem}"); // "Sentry at 127.0.0.1:40000 refuses what this DSN sends, with status 403."
/// }
/// assert!(problems.iter().any(|problem| matches!(problem, Problem::Refused { status: 403, .. })));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is no DSN, so nothing is sent.
    NoDsn,
    /// The server did not answer. The text names it and says why.
    Unreachable(String),
    /// The server does not accept what this DSN sends.
    Refused {
        /// The server's host, and its port if the DSN has one.
        host: String,
        /// The status of its answer.
        status: u16,
        /// The reason in its answer; may be empty.
        reason: String,
    },
    /// The server accepts no more for now: this project sends more than its quota allows.
    RateLimited,
    /// The server has a failure and answers with this status.
    Unavailable(u16),
    /// No sample rate is set, so nothing is recorded here.
    TracingOff,
    /// `SENTRY_TRACES_SAMPLE_RATE` has this text, which is no rate, and no other rate is set. So nothing is recorded here.
    BadSampleRate(String),
    /// This machine's clock is ahead of the server's by this number of seconds. A negative number means behind.
    ClockSkew(i64),
    /// Another sampler than Sentry's decides about local roots.
    OtherSampler,
    /// This process was forked from the one in which the exporter's thread runs, so it sends nothing. Set Sentry up
    /// after the fork.
    Forked,
    /// It was shut down or dropped, so nothing is sent any more.
    ShutDown,
    /// The exporter's thread has ended because of a bug, so nothing is sent any more. All spans that it held and
    /// that end later are counted as [`InternalSdkError`](crate::DropReason::InternalSdkError).
    Stopped,
    /// No span has ended here yet.
    NoSpans,
    /// Headers of this number of requests were read, and no span began in their traces: a filter hides the span of the
    /// middleware, or the middleware does not find the layer.
    HiddenRequests(u64),
    /// This number of requests have a span, and no headers of any request were read: the middleware uses another
    /// propagator, such as that of another version of OpenTelemetry.
    UnreadHeaders(u64),
    /// The global propagator writes no `sentry-trace`.
    NoPropagator,
    /// The global tracer provider is not Sentry's, so spans of middleware that uses it do not reach Sentry.
    OtherProvider,
    /// Another propagator writes `baggage` after Sentry's propagator, and so overwrites Sentry's members.
    BaggageOverwritten,
    /// Another propagator reads `traceparent` after Sentry's propagator, and so continues another trace than `sentry-trace`
    /// says, without its decision.
    TraceOverwritten,
}

impl Problem {
    /// The table of sentences. Those that contain what was found are completed by `fmt`.
    const fn sentence(&self) -> &'static str {
        match self {
            Self::NoDsn => "There is no DSN, so nothing is sent: set SENTRY_DSN or with_dsn.",
            Self::Unreachable(_) => "Sentry cannot be reached",
            Self::Refused { .. } => "refuses what this DSN sends, with status",
            Self::RateLimited => "Sentry accepts no more for now: this project exceeds its quota.",
            Self::Unavailable(_) => "Sentry can be reached, but fails: it answers with status",
            Self::TracingOff => {
                "No sample rate is set, so this service records nothing and leaves decisions to others: set \
                 SENTRY_TRACES_SAMPLE_RATE (a number from 0 to 1) or with_traces_sample_rate."
            }
            Self::BadSampleRate(_) => "SENTRY_TRACES_SAMPLE_RATE must be a number from 0 to 1, found",
            Self::ClockSkew(_) => "This machine's clock is",
            Self::OtherSampler => {
                "Another sampler than Sentry's decides about traces: their headers carry no sample rate. Give \
                 SentrySampler to the tracer provider, and its decision_log() to the exporter."
            }
            Self::Forked => {
                "This process was forked from the one in which Sentry was set up, so it sends nothing: set Sentry up \
                 after the fork."
            }
            Self::ShutDown => {
                "Sentry was shut down or dropped, so nothing is sent any more: keep the `Sentry` in a variable until \
                 the end of main, and shut it down there."
            }
            Self::Stopped => {
                "The exporter's thread has ended because of a bug, so nothing is sent any more. All spans that it \
                 held and that end later are counted as internal_sdk_error."
            }
            Self::NoSpans => {
                "No span has ended yet. If the application has made some, check its sample rate, filters before the \
                 tracing layer, and with `cargo tree -d` for a second version of opentelemetry beside 0.33."
            }
            Self::HiddenRequests(_) => {
                "but no span began in their traces: a filter or level (EnvFilter, RUST_LOG) hides the span of the \
                 middleware, or the layer is in a `reload::Layer`, where middleware does not find it. Let the target pass, \
                 such as `tower_otel`, and reload filters only; or use web::ServerLayer."
            }
            Self::UnreadHeaders(_) => {
                "but Sentry's propagator was asked for no headers, so their traces begin here. The middleware reads no \
                 headers, or uses another opentelemetry than 0.33, which `cargo tree -d` shows: use web::ServerLayer."
            }
            Self::NoPropagator => {
                "The global propagator is not Sentry's, so traces end at this service: call install() or install_driven(), \
                 or opentelemetry::global::set_text_map_propagator with sentry.propagator(), and nothing after it."
            }
            Self::OtherProvider => {
                "The global tracer provider is not Sentry's, so spans of middleware and clients that use it do not \
                 arrive: call install() or install_driven(), or opentelemetry::global::set_tracer_provider with \
                 sentry.tracer_provider(), and nothing after it. For a second back end use with_span_processor."
            }
            Self::BaggageOverwritten => {
                "Another propagator writes `baggage` after Sentry's, so its context is lost: leave out \
                 BaggagePropagator, because Sentry's propagator also writes OpenTelemetry's baggage."
            }
            Self::TraceOverwritten => {
                "Another propagator reads `traceparent` after Sentry's, so traces that Sentry's SDKs begin are torn: leave \
                 out TraceContextPropagator, because Sentry's propagator also reads and writes `traceparent`."
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = self.sentence();
        match self {
            Self::Unreachable(reason) => write!(f, "{sentence}: {reason}."),
            Self::Refused { host, status, reason } if reason.is_empty() => {
                write!(f, "Sentry at {host} {sentence} {status}.")
            }
            Self::Refused { host, status, reason } => write!(f, "Sentry at {host} {sentence} {status}: {reason}."),
            Self::Unavailable(status) => write!(f, "{sentence} {status}."),
            Self::BadSampleRate(text) => write!(f, "{sentence} {text:?}: this service records nothing."),
            Self::ClockSkew(seconds) => {
                let direction = if *seconds > 0 { "ahead of" } else { "behind" };
                write!(f, "{sentence} {} s {direction} the server's.", seconds.unsigned_abs())
            }
            Self::HiddenRequests(requests) => write!(f, "The headers of {requests} requests were read, {sentence}"),
            Self::UnreadHeaders(requests) => write!(f, "{requests} requests have a span, {sentence}"),
            _ => f.write_str(sentence),
        }
    }
}
