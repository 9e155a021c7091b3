//! An envelope as the receiving side reads it.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{framing::Reader, invalid_envelope::InvalidEnvelope, item::Item};

/// A parsed [envelope]. Cloning it is cheap.
///
/// ```
/// use opentelemetry_sentry_testing::Envelope;
///
/// let envelope = Envelope::parse(b"{}\n{\"type\":\"attachment\",\"length\":2}\nhi\n")?;
/// assert_eq!(envelope.items()[0].payload(), b"hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [envelope]: https://develop.sentry.dev/sdk/foundations/transport/envelopes/
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    content: Arc<Content>,
}

#[derive(Debug, PartialEq)]
struct Content {
    headers: Map<String, Value>,
    items: Vec<Item>,
}

impl Envelope {
    /// Parses an uncompressed envelope.
    ///
    /// ```text
    /// Envelope = Headers { "\n" Item } [ "\n" ] ;
    /// Item     = Headers "\n" Payload ;
    /// Payload  = exactly `length` bytes | without `length`, the bytes up to the next "\n" or the end ;
    /// ```
    ///
    /// Headers are JSON objects on one line in which no key occurs twice. If present, `event_id` is 32 hex
    /// digits (or a UUID with dashes), `sent_at` is RFC 3339 in UTC with a `Z`, `dsn` is a string and
    /// `trace` is an object of strings. Neither the types nor the content of items are checked.
    ///
    /// # Errors
    ///
    /// If the bytes are anything else. A payload with a `length` must end before a newline or at the end of the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidEnvelope> {
        let mut reader = Reader::new(bytes);
        let headers = reader.envelope_headers()?;
        let mut items = Vec::new();
        while !reader.is_at_end() {
            items.push(reader.item(items.len() + 1)?);
        }
        let content = Arc::new(Content { headers, items });
        Ok(Self { content })
    }

    /// All headers of the envelope, unknown ones included.
    #[must_use]
    pub fn headers(&self) -> &Map<String, Value> {
        &self.content.headers
    }

    /// The items, in their order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.content.items
    }

    /// The header `event_id`, as written.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        self.headers().get("event_id")?.as_str()
    }

    /// The header `trace`: the dynamic sampling context.
    #[must_use]
    pub fn trace(&self) -> Option<&Map<String, Value>> {
        self.headers().get("trace")?.as_object()
    }

    pub(super) fn dsn(&self) -> Option<&str> {
        self.headers().get("dsn")?.as_str()
    }
}
