//! Sends one request and reads the answer. The rules are in the guide, page `delivery`, section "What an answer means".

use std::{error::Error, iter, time::Duration};

use opentelemetry::otel_warn;
use opentelemetry_http::{Bytes, HttpClient, Request};
use opentelemetry_sentry_protocol::__shared::causes;
use tokio::time::timeout;

use super::verdict::Answer;

/// How long one request may take, from its first byte to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

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

/// An error and its causes in one line. The error itself says only `error sending request`.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    iter::once(error.to_string()).chain(causes(error).map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use opentelemetry_sentry_protocol::__shared::MAX_CAUSES;

    use super::*;

    #[derive(Debug)]
    struct OwnCause;

    impl fmt::Display for OwnCause {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }

    impl Error for OwnCause {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Self)
        }
    }

    #[test]
    fn an_error_that_is_its_own_cause_ends() {
        assert_eq!(with_causes(&OwnCause).matches("again").count(), MAX_CAUSES + 1);
    }
}
