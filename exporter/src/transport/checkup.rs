//! What is wrong with the setup? The answers are sentences, for a developer whose Sentry project stays empty.

use std::{
    fmt,
    sync::mpsc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::DATE};

/// A smaller difference between the clocks is not reported.
const SKEW: Duration = Duration::from_secs(60);

/// A mistake in the setup that keeps spans from Sentry or makes them misleading there. It prints as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is no DSN, so nothing is sent.
    NoDsn,
    /// The server did not answer, for this reason.
    Unreachable(String),
    /// The server does not accept what this DSN sends.
    Refused {
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
    /// The exporter's thread has ended because of a bug, so nothing is sent any more. All spans that it held and
    /// that end later are counted as [`InternalSdkError`](crate::DropReason::InternalSdkError).
    Stopped,
    /// No span has ended here yet.
    NoSpans,
    /// The global propagator writes no `sentry-trace`.
    NoPropagator,
    /// Another propagator writes `baggage` after Sentry's propagator, and so overwrites Sentry's members.
    BaggageOverwritten,
    /// Another propagator reads `traceparent` after Sentry's propagator, and so continues another trace than `sentry-trace`
    /// says, without its decision.
    TraceOverwritten,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDsn => f.write_str("There is no DSN, so nothing is sent: set SENTRY_DSN or with_dsn."),
            Self::Unreachable(reason) => write!(f, "Sentry cannot be reached: {reason}."),
            Self::Refused { status, reason } if reason.is_empty() => {
                write!(f, "Sentry refuses what this DSN sends, with status {status}.")
            }
            Self::Refused { status, reason } => {
                write!(f, "Sentry refuses what this DSN sends, with status {status}: {reason}.")
            }
            Self::RateLimited => f.write_str("Sentry accepts no more for now: this project exceeds its quota."),
            Self::Unavailable(status) => {
                write!(f, "Sentry can be reached, but fails: it answers with status {status}.")
            }
            Self::TracingOff => f.write_str(
                "No sample rate is set, so this service records nothing and leaves decisions to others: set \
                 SENTRY_TRACES_SAMPLE_RATE (a number from 0 to 1) or with_traces_sample_rate.",
            ),
            Self::BadSampleRate(text) => write!(
                f,
                "SENTRY_TRACES_SAMPLE_RATE must be a number from 0 to 1, found {text:?}: this service records nothing."
            ),
            Self::ClockSkew(seconds) => {
                let direction = if *seconds > 0 { "ahead of" } else { "behind" };
                write!(f, "This machine's clock is {} s {direction} the server's.", seconds.unsigned_abs())
            }
            Self::OtherSampler => f.write_str(
                "Another sampler than Sentry's decides about traces: their headers carry no sample rate. Give \
                 SentrySampler to the tracer provider, and its decision_log() to the exporter.",
            ),
            Self::Forked => f.write_str(
                "This process was forked from the one in which Sentry was set up, so it sends nothing: set Sentry up \
                 after the fork.",
            ),
            Self::Stopped => f.write_str(
                "The exporter's thread has ended because of a bug, so nothing is sent any more. All spans that it \
                 held and that end later are counted as internal_sdk_error.",
            ),
            Self::NoSpans => f.write_str(
                "No span has ended yet. If the application has made some, check its sample rate, filters before the \
                 tracing layer, and with `cargo tree -d` for a second version of opentelemetry beside 0.33.",
            ),
            Self::NoPropagator => f.write_str(
                "The global propagator is not Sentry's, so traces end at this service: call install(), or \
                 opentelemetry::global::set_text_map_propagator with sentry.propagator(), and nothing after it.",
            ),
            Self::BaggageOverwritten => f.write_str(
                "Another propagator writes `baggage` after Sentry's, so its context is lost: leave out \
                 BaggagePropagator, because Sentry's propagator also writes OpenTelemetry's baggage.",
            ),
            Self::TraceOverwritten => f.write_str(
                "Another propagator reads `traceparent` after Sentry's, so traces that Sentry's SDKs begin are torn: leave \
                 out TraceContextPropagator, because Sentry's propagator also reads and writes `traceparent`.",
            ),
        }
    }
}

/// A caller of `check`, which waits for the server's answer, or for the reason why it does not come.
#[derive(Debug)]
pub(crate) struct Asker(mpsc::Sender<Result<Reply, String>>);

impl Asker {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Result<Reply, String>>) {
        let (reply, answer) = mpsc::channel();
        (Self(reply), answer)
    }

    pub(crate) fn answer(self, answer: Result<Reply, String>) {
        // The caller may have stopped waiting.
        let _ = self.0.send(answer);
    }

    /// Only one caller at a time asks: they would pile up at a server that hangs, or before a worker that is held up.
    pub(crate) fn refuse(self) {
        self.answer(Err("an earlier check still waits for its answer".to_owned()));
    }
}

/// The server's answer to an envelope without items.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    reason: String,
    /// Seconds by which this machine's clock is ahead.
    skew: i64,
}

impl Reply {
    pub(crate) fn new(status: u16, headers: &HeaderMap, now: SystemTime) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let theirs = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
        let skew = theirs.map_or(0, |theirs| match now.duration_since(theirs) {
            Ok(ahead) => whole_seconds(ahead),
            Err(behind) => -whole_seconds(behind.duration()),
        });
        Self { status, reason: text("x-sentry-error").unwrap_or_default().to_owned(), skew }
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The problems that follow from the server's answer, or from the reason why it did not answer.
pub(crate) fn of_answer(answer: Result<Reply, String>) -> Vec<Problem> {
    let Reply { status, reason, skew } = match answer {
        Ok(reply) => reply,
        Err(reason) => return vec![Problem::Unreachable(reason)],
    };
    // Any other 4xx is about the empty envelope. The server has then accepted the DSN.
    let refused = match status {
        300..=399 | 401..=404 | 407 => Some(Problem::Refused { status, reason }),
        429 => Some(Problem::RateLimited),
        500.. => Some(Problem::Unavailable(status)),
        _ => None,
    };
    let is_skewed = skew.unsigned_abs() > SKEW.as_secs();
    refused.into_iter().chain(is_skewed.then_some(Problem::ClockSkew(skew))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_to_the_minute() {
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        let problems = |now| of_answer(Ok(Reply::new(200, &headers, now)));
        assert_eq!(problems(theirs + Duration::from_secs(60)), []);
        assert_eq!(problems(theirs + Duration::from_secs(61)), [Problem::ClockSkew(61)]);
        assert_eq!(problems(theirs - Duration::from_secs(3600)), [Problem::ClockSkew(-3600)]);
        assert_eq!(
            problems(theirs - Duration::from_secs(3600))[0].to_string(),
            "This machine's clock is 3600 s behind the server's."
        );
    }

    #[test]
    fn the_problem_contains_the_servers_own_reason() {
        let mut headers = HeaderMap::new();
        headers.insert("x-sentry-error", "bad sentry DSN public key".parse().unwrap());
        let problem = of_answer(Ok(Reply::new(403, &headers, SystemTime::now()))).remove(0);
        assert_eq!(
            problem.to_string(),
            "Sentry refuses what this DSN sends, with status 403: bad sentry DSN public key."
        );
        assert_eq!(of_answer(Ok(Reply::new(400, &headers, SystemTime::now()))), []);
    }
}
