//! The reasons to refuse an envelope, and the response to each.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use opentelemetry_http::Bytes;

/// Why an envelope is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Method,
    Encoding,
    TooLarge,
    Unfinished,
    Unreadable,
    Header,
    NotAllowed,
    Upstream,
}

impl Refusal {
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let (status, text) = self.status();
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        let text = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
        for (name, value) in [Some(text), self.hint()].into_iter().flatten() {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    const fn status(self) -> (StatusCode, &'static str) {
        match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "an envelope must be sent with POST"),
            Self::Encoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the envelope may be compressed with one of gzip, deflate, br, zstd",
            ),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the envelope is too large"),
            Self::Unfinished => (StatusCode::REQUEST_TIMEOUT, "the envelope did not end in time"),
            Self::Unreadable => (StatusCode::BAD_REQUEST, "the envelope could not be read"),
            Self::Header => (StatusCode::BAD_REQUEST, "the envelope must begin with a line of JSON that has a DSN"),
            Self::NotAllowed => (StatusCode::FORBIDDEN, "envelopes of this project are not forwarded"),
            Self::Upstream => (StatusCode::INTERNAL_SERVER_ERROR, "the envelope could not be forwarded"),
        }
    }

    /// The header that HTTP requires with this status.
    const fn hint(self) -> Option<(HeaderName, &'static str)> {
        match self {
            Self::Method => Some((header::ALLOW, "POST")),
            Self::Encoding => Some((header::ACCEPT_ENCODING, "gzip, deflate, br, zstd")),
            _ => None,
        }
    }
}
