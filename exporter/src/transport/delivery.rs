//! One envelope's way out, and what the answer means.
//!
//! | answer | outcome |
//! | --- | --- |
//! | 2xx | delivered |
//! | 429 | dropped: rate limited |
//! | other 4xx and 5xx | dropped: refused |
//! | 3xx | dropped: another host is another recipient |
//! | none, none in time | tried again, and then kept on disk or dropped |

use std::time::Duration;

use http::HeaderMap;
use opentelemetry::otel_warn;
use opentelemetry_http::{Bytes, HttpClient, Request};
use tokio::time::timeout;

use crate::loss::DropReason;

/// How long one request may take, from its first byte to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// The server has said something.
    Status(u16, HeaderMap),
    /// Nothing came back.
    Nothing,
}

impl Answer {
    /// Whether it was delivered, and if not, why; `None` if it may be tried again.
    pub(super) fn outcome(&self) -> Option<Result<(), DropReason>> {
        match self {
            Self::Status(200..=299, _) => Some(Ok(())),
            Self::Status(300..=399, _) => Some(Err(DropReason::NetworkError)),
            Self::Status(429, _) => Some(Err(DropReason::RateLimited)),
            Self::Status(..) => Some(Err(DropReason::SendError)),
            Self::Nothing => None,
        }
    }
}

/// Sends one request, and waits for its answer.
pub(super) async fn deliver(client: &dyn HttpClient, request: Request<Bytes>) -> Answer {
    match timeout(REQUEST_TIMEOUT, client.send_bytes(request)).await {
        Ok(Ok(response)) => {
            let status = response.status().as_u16();
            if !(200..300).contains(&status) {
                let reason = response.headers().get("x-sentry-error").and_then(|reason| reason.to_str().ok());
                otel_warn!(
                    name: "SentryExporter.Refused",
                    status = u64::from(status),
                    reason = reason.unwrap_or_default().to_owned()
                );
            }
            Answer::Status(status, response.into_parts().0.headers)
        }
        Ok(Err(error)) => {
            otel_warn!(name: "SentryExporter.RequestFailed", message = error.to_string());
            Answer::Nothing
        }
        Err(_) => {
            otel_warn!(name: "SentryExporter.RequestTimedOut");
            Answer::Nothing
        }
    }
}
