//! How the ingest answers a well-formed request.

use std::time::Duration;

use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use opentelemetry_http::{Bytes, Response};
use serde_json::json;
use tokio::time;

use crate::{
    check::Payload,
    gate::Gate,
    refusal::{ERROR_HEADER, Refusal},
};

/// How [`LocalIngest`](super::LocalIngest) answers a request that passes its checks.
///
/// ```
/// use std::time::Duration;
/// use opentelemetry_sentry_testing::Answer;
///
/// let limited = Answer::status(429).with_header("Retry-After", "30");
/// let slow = Answer::ok().with_delay(Duration::from_secs(2));
/// let outage = Answer::close();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an answer does nothing until it is passed to `LocalIngest`"]
pub struct Answer {
    outcome: Outcome,
    gate: Option<Gate>,
    delay: Duration,
    headers: Vec<(String, String)>,
    body: Option<Bytes>,
}

impl Answer {
    /// Accepts as Sentry does: an envelope with status 200 and the body `{"id":"<event id>"}`, or `{}` if it has no event id;
    /// an OTLP request with status 202 and an empty body.
    pub fn ok() -> Self {
        Self::new(Outcome::Accept)
    }

    /// Answers with a status from 200 to 999. Any 2xx accepts the envelope.
    ///
    /// It is sent as it is to envelopes and to OTLP requests. (Sentry never answers 429 to logs by OTLP: it answers 202, and
    /// drops them.) Without [`with_body`](Self::with_body), a 2xx has the body of [`ok`](Self::ok) and any other status has
    /// `{"detail":"the test answers <status>"}`. An answer that HTTP cannot express (a status outside of the
    /// range, a header with a line break) is sent as a 500 with the reason in `X-Sentry-Error`.
    pub fn status(status: u16) -> Self {
        Self::new(Outcome::Status(status))
    }

    /// Closes the connection without an answer.
    pub fn close() -> Self {
        Self::new(Outcome::Close)
    }

    /// Never answers. The connection stays open until the client closes it or the ingest is dropped.
    pub fn hang() -> Self {
        Self::new(Outcome::Hang)
    }

    /// Adds a header, such as `X-Sentry-Rate-Limits`. Defaults to none.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body. Defaults to the body that [`status`](Self::status) describes.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(Bytes::from(body.into()));
        self
    }

    /// Waits before it answers or closes. Defaults to no delay.
    ///
    /// The envelope is accepted when the answer is sent, and never if the client closes its connection before.
    /// For a test that must not depend on time, use [`with_gate`](Self::with_gate).
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits until the gate is open before it answers or closes. Defaults to no gate.
    ///
    /// A delay begins when the gate opens. See [`Gate`].
    pub fn with_gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    fn new(outcome: Outcome) -> Self {
        Self { outcome, gate: None, delay: Duration::ZERO, headers: Vec::new(), body: None }
    }

    /// Waits for the gate and then for the delay.
    pub(super) async fn wait(&self) {
        if let Some(gate) = &self.gate {
            gate.opened().await;
        }
        if !self.delay.is_zero() {
            time::sleep(self.delay).await;
        }
    }

    /// What to do with a request that contained this.
    pub(super) fn reply(self, payload: &Payload) -> Reply {
        let accepted = match payload {
            Payload::Envelope(_) => 200,
            Payload::Otlp(_) => 202,
        };
        match self.outcome {
            Outcome::Accept => Reply::Response(self.response(accepted, payload)),
            Outcome::Status(status) => Reply::Response(self.response(status, payload)),
            Outcome::Close => Reply::Close,
            Outcome::Hang => Reply::Hang,
        }
    }

    fn response(self, status: u16, payload: &Payload) -> Response<Bytes> {
        if status < 200 {
            return not_http(&"a status below 200 is no final answer");
        }
        let mut response = Response::builder().status(status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = match (self.body, payload) {
            (Some(body), _) => body,
            (None, Payload::Otlp(_)) if (200..300).contains(&status) => Bytes::new(),
            (None, _) => {
                response = response.header(CONTENT_TYPE, "application/json");
                default_body(status, payload)
            }
        };
        response.body(body).unwrap_or_else(|e| not_http(&e))
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::ok()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Accept,
    Status(u16),
    Close,
    Hang,
}

/// What the connection does with a request.
pub(super) enum Reply {
    Response(Response<Bytes>),
    Close,
    Hang,
}

/// The response of Spotlight, whatever it was sent.
pub(super) fn spotlight() -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"{}"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The response to a request that fails a check: a body of `{detail, causes}`, as Sentry sends it.
pub(super) fn refuse(refusal: &Refusal) -> Response<Bytes> {
    let body = json!({ "detail": refusal.detail(), "causes": [refusal.cause()] });
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    let text: String = refusal.to_string().chars().map(printable).collect();
    if let Ok(value) = text.parse() {
        headers.insert(ERROR_HEADER, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn not_http(reason: &dyn ToString) -> Response<Bytes> {
    refuse(&Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the test's answer is not HTTP", reason.to_string()))
}

fn default_body(status: u16, payload: &Payload) -> Bytes {
    let event_id = if let Payload::Envelope(envelope) = payload { envelope.event_id() } else { None };
    let body = match (status, event_id) {
        (200..=299, Some(id)) => json!({ "id": id }),
        (200..=299, None) => json!({}),
        _ => json!({ "detail": format!("the test answers {status}") }),
    };
    Bytes::from(body.to_string())
}

/// Header values may have visible ASCII and blanks only.
fn printable(c: char) -> char {
    match c {
        ' '..='~' => c,
        _ => '?',
    }
}
