//! Sends one envelope and reads the answer. The rules are in the guide, page `delivery`, section "What an answer means".

use std::{
    error::Error,
    iter,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use opentelemetry::otel_warn;
use opentelemetry_http::{Bytes, HttpClient, Request};
use tokio::time::timeout;

use crate::account::DropReason;

/// How long one request may take, from its first byte to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The server has said something.
    Status(u16, HeaderMap),
    /// Nothing came back, for this reason.
    Nothing(String),
}

impl Answer {
    /// Whether it was delivered, and if not, why; `None` if it may be tried again.
    pub(crate) fn outcome(&self) -> Option<Result<(), DropReason>> {
        match self {
            Self::Status(200..=299, _) => Some(Ok(())),
            Self::Status(300..=399, _) => Some(Err(DropReason::NetworkError)),
            Self::Status(429, _) => Some(Err(DropReason::RateLimited)),
            Self::Status(..) => Some(Err(DropReason::SendError)),
            Self::Nothing(_) => None,
        }
    }
}

/// Sends one request, and waits for its answer.
pub(crate) async fn deliver(client: &dyn HttpClient, request: Request<Bytes>) -> Answer {
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
            let reason = with_causes(error.as_ref());
            otel_warn!(name: "SentryExporter.RequestFailed", message = reason.as_str());
            Answer::Nothing(reason)
        }
        Err(_) => {
            otel_warn!(name: "SentryExporter.RequestTimedOut");
            Answer::Nothing(format!("no answer within {REQUEST_TIMEOUT:?}"))
        }
    }
}

/// An error and what caused it, in one line: the cause says more than `error sending request`.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string);
    iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

/// The server is asked something; whatever ends that, also a client that panics, lets the next one ask.
#[derive(Debug)]
pub(crate) struct Asking(Arc<AtomicBool>);

impl Asking {
    pub(crate) fn new(is_asking: &Arc<AtomicBool>) -> Self {
        Self(Arc::clone(is_asking))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
