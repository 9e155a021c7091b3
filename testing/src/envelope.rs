//! The envelope as the receiving side reads it.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{framing::Reader, invalid_envelope::InvalidEnvelope, item::Item};

/// An [envelope] that was taken apart. Cloning it is cheap.
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
    /// Takes an uncompressed envelope apart.
    ///
    /// ```text
    /// Envelope = Headers { "\n" Item } [ "\n" ] ;
    /// Item     = Headers "\n" Payload ;
    /// Payload  = exactly `length` bytes | without `length`, the bytes up to the next "\n" or the end ;
    /// ```
    ///
    /// Headers are JSON objects on one line, with no key twice. Where they are there, `event_id` is 32 hex
    /// digits (or a UUID with dashes), `sent_at` is RFC 3339 in UTC with a `Z`, `dsn` is a string and
    /// `trace` is an object of strings. Item types are not checked, nor is the content of items.
    ///
    /// # Errors
    ///
    /// When the bytes are anything else. A `length` has to end before a newline or at the end of the bytes.
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

    /// The headers of the envelope, with those that are unknown.
    #[must_use]
    pub fn headers(&self) -> &Map<String, Value> {
        &self.content.headers
    }

    /// The items in their order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.content.items
    }

    /// The `event_id` of the headers, as written.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        self.headers().get("event_id")?.as_str()
    }

    /// The `trace` of the headers: the dynamic sampling context.
    #[must_use]
    pub fn trace(&self) -> Option<&Map<String, Value>> {
        self.headers().get("trace")?.as_object()
    }

    pub(super) fn dsn(&self) -> Option<&str> {
        self.headers().get("dsn")?.as_str()
    }
}
