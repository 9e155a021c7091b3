//! What the response adds to the span of its request.

use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;
use opentelemetry_sentry_propagator::server_timing;
use opentelemetry_sentry_semantics::semconv;

use super::{
    body::ServerBody,
    grpc,
    request::{captured, content_length},
    settings::Settings,
    span::RequestSpan,
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Notes the head of a response. The span stays open in its body.
pub(super) fn answered<B: Body>(
    span: RequestSpan,
    mut response: Response<B>,
    is_head: bool,
    settings: &Settings,
) -> Response<ServerBody<B>> {
    let status = response.status();
    span.set(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
    // A client's mistake (4xx) is no error of the server.
    if status.is_server_error() {
        span.set(semconv::ERROR_TYPE, status.as_str().to_owned());
        span.fail("");
    }
    span.set_all(captured(response.headers(), &settings.response_headers, semconv::HTTP_RESPONSE_HEADER));
    grpc::note_status(&span, response.headers());
    if settings.server_timing {
        let value = server_timing(span.context()).and_then(|value| HeaderValue::try_from(value).ok());
        if let Some(value) = value {
            response.headers_mut().append(SERVER_TIMING, value);
        }
    }
    let length = if has_no_body(status) || is_head {
        Some(0)
    } else {
        // What hyper announces, too: without a header it asks the body.
        content_length(response.headers()).or_else(|| response.body().size_hint().exact())
    };
    response.map(|body| ServerBody::traced(body, span, length))
}

/// Ends the span of a request that got no response.
pub(super) fn failed(span: RequestSpan, error_type: &'static str, message: String) {
    span.set(semconv::ERROR_TYPE, error_type);
    span.fail(message);
    span.end();
}

/// Whether HTTP forbids a body with this status. A server then drops the body without polling it.
fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}
