//! Envelopes: a line of headers, and for each item a line of headers and its payload.
//!
//! The time of sending is added to the headers with each request. The items are written once.

use std::time::SystemTime;

use opentelemetry_http::Bytes;
use opentelemetry_sentry_protocol::DynamicSamplingContext;
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::fmt::Simple;

use super::form::OtlpForm;
use crate::{
    account::{Counts, Rfc3339},
    convert::Sdk,
    json,
};

/// The most bytes of a serialised transaction. Sentry accepts 1 MiB; the difference is for the envelope's headers and
/// for the client report. It is the limit of a streamed span, too: Sentry accepts larger ones, but then cuts them at random.
pub(crate) const MAX_TRANSACTION: usize = 1_000_000;

/// Begins and ends the payload of a container.
pub(super) const HEAD: &[u8] = br#"{"version":2,"items":["#;
pub(super) const TAIL: &[u8] = b"]}";

/// One event, or a request of an OTLP exporter, ready to be sent. A clone shares its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The line of headers as a JSON object, without the time of sending; the mark of a request of an OTLP exporter.
    pub(crate) headers: Bytes,
    /// Headers and payload of all items.
    pub(crate) items: Bytes,
    /// How many transactions, spans and errors it accounts for.
    pub(crate) counts: Counts,
}

/// The event of an envelope.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) r#type: &'static str,
    pub(crate) payload: &'a [u8],
    pub(crate) counts: Counts,
}

impl Envelope {
    /// An envelope with an event that belongs to a trace with this context.
    pub(crate) fn new(event_id: Simple, dsc: Option<&DynamicSamplingContext>, item: &Item<'_>) -> Self {
        let Item { r#type, payload, counts } = item;
        let content_type = "application/json";
        let header = json::to_vec(&ItemHeader { r#type, item_count: None, length: payload.len(), content_type });
        let items = [header.as_slice(), b"\n", payload].concat();
        let mut digits = [0; Simple::LENGTH];
        let event_id = event_id.encode_lower(&mut digits);
        // Envelopes wait by the thousand, so none may have room to spare.
        let headers = json::to_vec(&Headers { event_id, sdk: Sdk, trace: dsc.map(Entries) });
        Self { headers: headers.into(), items: items.into(), counts: *counts }
    }

    /// An envelope with an item that is no event, and belongs to no single trace.
    pub(super) fn without_event(header: &ItemHeader, payload: &[u8], counts: Counts) -> Self {
        let items = [json::to_vec(header).as_slice(), b"\n", payload].concat();
        Self { headers: json::to_vec(&OnlySdk { sdk: Sdk }).into(), items: items.into(), counts }
    }

    /// The same envelope with another item.
    pub(super) fn with_item(self, counts: Counts, item: &[u8]) -> Self {
        let mut sum = self.counts;
        sum += counts;
        Self { items: [&self.items, b"\n".as_slice(), item].concat().into(), counts: sum, ..self }
    }

    /// The same envelope without the streamed spans beside its transaction, and their number. `None` if it has none.
    pub(crate) fn without_streamed(&self) -> Option<(Self, usize)> {
        let (header, payload) = header_of(&self.items)?;
        let end = payload.checked_add(usize::try_from(header["length"].as_u64()?).ok()?)?;
        let (beside, _) = header_of(self.items.get(end + 1..)?)?;
        let spans = beside["item_count"].as_u64().filter(|_| beside["type"] == "span")?;
        let counts = Counts { spans: self.counts.spans.saturating_sub(spans), ..self.counts };
        Some((Self { items: self.items.slice(..end), counts, ..self.clone() }, usize::try_from(spans).ok()?))
    }

    /// A request of an OTLP exporter. It has a mark in the place of headers.
    pub(super) fn otlp(mark: &'static str, body: Bytes, counts: Counts) -> Self {
        Self { headers: Bytes::from_static(mark.as_bytes()), items: body, counts }
    }

    /// What it is, if it is a request of an OTLP exporter.
    pub(crate) fn otlp_form(&self) -> Option<OtlpForm> {
        OtlpForm::of_mark(&self.headers)
    }

    /// An envelope without an event. It carries a report, or asks the server whether it accepts the DSN.
    pub(crate) const fn empty() -> Self {
        Self { headers: Bytes::from_static(b"{}"), items: Bytes::new(), counts: Counts::spans(0) }
    }

    /// The bytes that it takes while it waits.
    pub(crate) fn size(&self) -> usize {
        self.headers.len() + self.items.len()
    }

    /// The body of a request at this time.
    pub(crate) fn body(&self, now: SystemTime) -> Vec<u8> {
        let mut body = Vec::new();
        self.write_body(now, None, &[], &mut body);
        body
    }

    /// Writes the body of a request at this time, with the DSN for a tunnel and another item (empty for none). A request of an
    /// OTLP exporter is its body, without both.
    ///
    /// The DSN is written with each request, so that what comes from the disk has it too: the process that has written it may
    /// have used no tunnel, or another one.
    pub(crate) fn write_body(&self, now: SystemTime, dsn: Option<&str>, more: &[u8], body: &mut Vec<u8>) {
        if self.otlp_form().is_some() {
            return body.extend_from_slice(&self.items);
        }
        body.reserve(self.size() + more.len() + dsn.map_or(0, str::len) + 64);
        let headers = self.headers.strip_prefix(b"{").unwrap_or(&self.headers);
        let comma = if headers == b"}" { "" } else { "," };
        body.extend_from_slice(b"{");
        // First, so that a tunnel finds it at once.
        if let Some(dsn) = dsn {
            body.extend_from_slice(b"\"dsn\":");
            body.extend_from_slice(&json::to_vec(&dsn));
            body.extend_from_slice(b",");
        }
        body.extend_from_slice(b"\"sent_at\":");
        body.extend_from_slice(&json::to_vec(&Rfc3339(now)));
        body.extend_from_slice(comma.as_bytes());
        body.extend_from_slice(headers);
        for item in [&self.items, more] {
            if !item.is_empty() {
                body.push(b'\n');
                body.extend_from_slice(item);
            }
        }
        body.push(b'\n');
    }
}

/// The headers of the first of these items, and where its payload begins. What comes from the disk may be damaged.
fn header_of(items: &[u8]) -> Option<(Value, usize)> {
    let end = items.iter().position(|byte| *byte == b'\n')?;
    Some((serde_json::from_slice(&items[..end]).ok()?, end + 1))
}

#[derive(Serialize)]
struct Headers<'a> {
    event_id: &'a str,
    sdk: Sdk,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Entries<'a>>,
}

#[derive(Serialize)]
struct OnlySdk {
    sdk: Sdk,
}

/// A dynamic sampling context as JSON. All values are strings, including numbers.
pub(super) struct Entries<'a>(pub(super) &'a DynamicSamplingContext);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

#[derive(Serialize)]
pub(super) struct ItemHeader {
    pub(super) r#type: &'static str,
    /// The number of items in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item_count: Option<usize>,
    pub(super) length: usize,
    pub(super) content_type: &'static str,
}
