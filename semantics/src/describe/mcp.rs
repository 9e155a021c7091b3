//! Requests and notifications of the Model Context Protocol. The rules are in the guide, page `mapping`, section "MCP".

use std::borrow::Cow;

use opentelemetry::trace::SpanKind;

use super::description::{Described, Description, Source, joined};
use crate::semconv;

pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let Described { kind, attributes, .. } = *span;
    let method = attributes.text(semconv::MCP_METHOD_NAME)?;
    let op = match (method.starts_with("notifications/"), kind) {
        (false, _) => "mcp.server",
        (true, SpanKind::Client | SpanKind::Producer) => "mcp.notification.server_to_client",
        (true, _) => "mcp.notification.client_to_server",
    };
    // Not the URI of a resource: there are too many different ones.
    let target = attributes.first_text(semconv::TOOL_NAMES).or_else(|| attributes.first_text(semconv::PROMPT_NAMES));
    let name = joined(Some(&method), target).unwrap_or(method);
    Some(Description { op: Some(Cow::Borrowed(op)), name, source: Source::Route })
}
