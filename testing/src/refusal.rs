//! Why the ingest refuses a request.

use std::fmt;

use hyper::StatusCode;

/// The status and the reason of a refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: &'static str,
    cause: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: &'static str, cause: String) -> Self {
        Self { status, detail, cause }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn detail(&self) -> &'static str {
        self.detail
    }

    pub(super) fn cause(&self) -> &str {
        &self.cause
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.detail, self.cause)
    }
}

/// The response header with the reason of a refusal.
pub(super) const ERROR_HEADER: &str = "x-sentry-error";
