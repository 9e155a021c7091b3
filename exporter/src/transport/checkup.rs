//! A check asks the server whether it accepts the DSN, and compares clocks.

use std::{
    sync::mpsc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::DATE};
use opentelemetry_sentry_protocol::__shared::Arrivals;

use super::problem::Problem;

/// A smaller difference between the clocks is not reported.
const SKEW: Duration = Duration::from_secs(60);

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

/// The problems that follow from the answer of the server at this host, or from the reason why it did not answer.
pub(crate) fn of_answer(host: &str, answer: Result<Reply, String>) -> Vec<Problem> {
    let Reply { status, reason, skew } = match answer {
        Ok(reply) => reply,
        Err(reason) => return vec![Problem::Unreachable(format!("{host}: {reason}"))],
    };
    // Any other 4xx is about the empty envelope. The server has then accepted the DSN.
    let refused = match status {
        300..=399 | 401..=404 | 407 => Some(Problem::Refused { host: host.to_owned(), status, reason }),
        429 => Some(Problem::RateLimited),
        500.. => Some(Problem::Unavailable(status)),
        _ => None,
    };
    let is_skewed = skew.unsigned_abs() > SKEW.as_secs();
    refused.into_iter().chain(is_skewed.then_some(Problem::ClockSkew(skew))).collect()
}

/// The problem that the requests so far show: their headers were read without a span, or they have spans without that.
///
/// A single pair of each is enough to know that the two can work together here, so only a count of zero is a problem.
pub(crate) fn of_arrivals(arrivals: &Arrivals) -> Option<Problem> {
    match (arrivals.extracted(), arrivals.continued(), arrivals.unread()) {
        (0, _, unread @ 1..) => Some(Problem::UnreadHeaders(unread)),
        (extracted @ 1.., 0, _) => Some(Problem::HiddenRequests(extracted)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_to_the_minute() {
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        let problems = |now| of_answer("sentry.io", Ok(Reply::new(200, &headers, now)));
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
        let problem = of_answer("sentry.io", Ok(Reply::new(403, &headers, SystemTime::now()))).remove(0);
        assert_eq!(
            problem.to_string(),
            "Sentry at sentry.io refuses what this DSN sends, with status 403: bad sentry DSN public key."
        );
        assert_eq!(of_answer("sentry.io", Ok(Reply::new(400, &headers, SystemTime::now()))), []);
    }
}
