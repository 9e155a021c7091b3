//! The status of a span in Sentry's words. The rules are in the guide, page `mapping`, section "Status".

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sentry_semantics::{
    Attributes,
    semconv::{
        ERROR_TYPE, HTTP_RESPONSE_STATUS_CODE, HTTP_STATUS_CODE, RPC_GRPC_STATUS_CODE, RPC_RESPONSE_STATUS_CODE,
    },
};

/// Sentry's words, in the order of gRPC's codes. They are also gRPC's names, except for codes 2 and 13.
pub(crate) const STATUSES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown_error",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal_error",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// The status of a span.
pub(crate) fn status(status: &Status, kind: &SpanKind, attributes: Attributes<'_>) -> &'static str {
    let code = || from_codes(attributes).filter(|status| *status != "ok");
    let failure = match status {
        Status::Ok => return "ok",
        Status::Unset => return from_codes(attributes).unwrap_or("ok"),
        Status::Error { description } if description.is_empty() => code(),
        Status::Error { description } => {
            let word = STATUSES[1..].iter().find(|word| *word == description).copied();
            // The text of a server explains the refusal that its status expresses.
            let is_refusal = *kind == SpanKind::Server && matches!(http_status(attributes), Some(400..=499));
            word.or_else(|| code().filter(|_| is_refusal))
        }
    };
    failure.or_else(|| from_error_type(attributes)).unwrap_or("internal_error")
}

/// The words that client and server libraries use in `error.type` for what is no failure of the service.
fn from_error_type(attributes: Attributes<'_>) -> Option<&'static str> {
    match attributes.text(ERROR_TYPE)?.as_ref() {
        "cancelled" | "canceled" => Some("cancelled"),
        "timeout" => Some("deadline_exceeded"),
        _ => None,
    }
}

/// The text of an error, unless it is one of Sentry's words for the status. Sentry's status cannot contain other text.
pub(crate) fn status_message(status: &Status) -> &str {
    match status {
        Status::Error { description } if !STATUSES.contains(&description.as_ref()) => description,
        _ => "",
    }
}

/// The HTTP status of a span's response.
pub(crate) fn http_status(attributes: Attributes<'_>) -> Option<i64> {
    attributes.integer(HTTP_RESPONSE_STATUS_CODE).or_else(|| attributes.integer(HTTP_STATUS_CODE))
}

fn from_codes(attributes: Attributes<'_>) -> Option<&'static str> {
    let http = http_status(attributes).map(from_http);
    // gRPC answers with HTTP 200 to calls that fail, too.
    if http.is_none_or(|status| status == "ok") { from_grpc(attributes).or(http) } else { http }
}

const fn from_http(status: i64) -> &'static str {
    match status {
        100..=399 => "ok",
        401 => "unauthenticated",
        403 => "permission_denied",
        404 => "not_found",
        409 => "already_exists",
        413 => "failed_precondition",
        429 => "resource_exhausted",
        499 => "cancelled",
        400..=498 => "invalid_argument",
        501 => "unimplemented",
        503 => "unavailable",
        504 => "deadline_exceeded",
        _ => "internal_error",
    }
}

/// The code may be a number, a number as text, or a name: `DEADLINE_EXCEEDED`, or `DeadlineExceeded` as tonic prints it.
fn from_grpc(attributes: Attributes<'_>) -> Option<&'static str> {
    let key = [RPC_GRPC_STATUS_CODE, RPC_RESPONSE_STATUS_CODE].into_iter().find(|key| attributes.get(key).is_some())?;
    if let Some(code) = attributes.integer(key) {
        let word = usize::try_from(code).ok().and_then(|code| STATUSES.get(code).copied());
        return Some(word.unwrap_or("unknown_error"));
    }
    let name = attributes.text(key)?.replace('_', "").to_ascii_lowercase();
    let name = if name == "internal" { "internalerror" } else { name.as_str() };
    let is_it = |word: &&str| word.bytes().filter(|byte| *byte != b'_').eq(name.bytes());
    Some(STATUSES.into_iter().find(is_it).unwrap_or("unknown_error"))
}
