//! How a gRPC call ended: in the trailers, or in the headers of a response without a message.

use http::{HeaderMap, HeaderName};
use opentelemetry_sentry_semantics::semconv;

use super::span::RequestSpan;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");

pub(super) fn note_status(span: &RequestSpan, headers: &HeaderMap) {
    let status = headers.get(STATUS).and_then(|status| status.to_str().ok()?.parse::<u8>().ok());
    if let Some(status) = status {
        // As text: the convention has the codes of all RPC systems under this name.
        span.set(semconv::RPC_RESPONSE_STATUS_CODE, status.to_string());
    }
}
