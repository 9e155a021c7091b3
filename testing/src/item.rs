//! One item of an envelope.

use serde_json::{Map, Value};

use crate::typed::StreamedSpan;

/// The content type of a container of streamed spans.
pub(super) const SPAN_CONTAINER: &str = "application/vnd.sentry.items.span.v2+json";

/// One item of an [`Envelope`](crate::Envelope).
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    headers: Map<String, Value>,
    payload: Vec<u8>,
}

impl Item {
    pub(super) fn new(headers: Map<String, Value>, payload: Vec<u8>) -> Self {
        Self { headers, payload }
    }

    /// The headers of the item.
    #[must_use]
    pub fn headers(&self) -> &Map<String, Value> {
        &self.headers
    }

    /// The header `type`, such as `transaction`.
    #[must_use]
    pub fn item_type(&self) -> &str {
        let item_type = self.headers.get("type").and_then(Value::as_str);
        item_type.unwrap_or_default() // the parser requires it
    }

    /// The payload, without the newline that may follow it.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The streamed spans in it, in their order. None if it is not a container of spans.
    #[must_use]
    pub fn spans(&self) -> Vec<StreamedSpan> {
        self.streamed().into_iter().map(StreamedSpan::from_json).collect()
    }

    fn streamed(&self) -> Vec<Value> {
        let items = self.json().ok().filter(|_| self.is_container()).map(|mut json| json["items"].take());
        if let Some(Value::Array(spans)) = items { spans } else { Vec::new() }
    }

    fn is_container(&self) -> bool {
        self.item_type() == "span" && self.headers.get("content_type").is_some_and(|found| found == SPAN_CONTAINER)
    }

    /// Reads the payload as JSON.
    ///
    /// # Errors
    ///
    /// If the payload is not JSON.
    pub fn json(&self) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.payload)
    }
}
