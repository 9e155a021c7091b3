//! Envelopes: a line of headers, and for each item a line of headers and its payload.
//!
//! The headers of the envelope are written when it is sent, as they say when that was. The items are written once.

use std::{
    io::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use opentelemetry_sentry_protocol::DynamicSamplingContext;
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::fmt::Simple;

use crate::{assembler::Trace, convert::Sender, loss::Load};

/// The most bytes of a serialised transaction. Sentry takes 1 MiB; the rest is for what is added on the way.
pub(crate) const MAX_TRANSACTION: usize = 1_000_000;

/// Bodies of more bytes are compressed.
const COMPRESS_ABOVE: usize = 1024;

/// The name under which Sentry counts us.
pub(crate) const SDK_NAME: &str = "sentry.rust.otel";

/// Our version.
pub(crate) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// One event, ready to be sent.
#[derive(Debug)]
pub(crate) struct Envelope {
    event_id: Simple,
    dsc: Option<DynamicSamplingContext>,
    /// Headers and payload of all items.
    items: Vec<u8>,
    /// What it stands for.
    pub(crate) load: Load,
}

/// What an envelope is made for.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) r#type: &'static str,
    pub(crate) payload: &'a [u8],
    pub(crate) load: Load,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// The `Content-Encoding`, if it is compressed.
    pub(crate) encoding: Option<&'static str>,
}

impl Envelope {
    /// An envelope with an event that belongs to a trace.
    pub(crate) fn new(event_id: Simple, trace: &Trace, sender: &Sender, item: &Item<'_>) -> Self {
        let Item { r#type, payload, load } = item;
        let mut items = Vec::with_capacity(payload.len() + 80);
        let header = ItemHeader { r#type, length: payload.len(), content_type: "application/json" };
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut items, &header);
        items.push(b'\n');
        items.extend_from_slice(payload);
        let trace_id = trace.spans.first().map(|root| root.span_context.trace_id());
        let head = trace.head.as_ref().zip(trace_id);
        let dsc = head.and_then(|(head, trace_id)| head.dsc(&sender.service, trace_id));
        Self { event_id, dsc, items, load: *load }
    }

    /// Bytes that it holds while it waits.
    pub(crate) fn size(&self) -> usize {
        self.items.len() + self.dsc.as_ref().map_or(0, |dsc| dsc.as_text().len())
    }

    /// The body to send at this time.
    ///
    /// # Errors
    ///
    /// Never in practice: writing to memory does not fail.
    pub(crate) fn body(&self, now: SystemTime, may_compress: bool) -> io::Result<Body> {
        let mut bytes = Vec::with_capacity(self.items.len() + 512);
        serde_json::to_writer(&mut bytes, &Headers { envelope: self, sent_at: Rfc3339(now) })?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.items);
        bytes.push(b'\n');
        if !may_compress || bytes.len() <= COMPRESS_ABOVE {
            return Ok(Body { bytes, encoding: None });
        }
        let mut gzip = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
        gzip.write_all(&bytes)?;
        Ok(Body { bytes: gzip.finish()?, encoding: Some("gzip") })
    }
}

struct Headers<'a> {
    envelope: &'a Envelope,
    sent_at: Rfc3339,
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event_id", self.envelope.event_id.encode_lower(&mut [0; Simple::LENGTH]))?;
        map.serialize_entry("sent_at", &self.sent_at)?;
        map.serialize_entry("sdk", &Sdk)?;
        if let Some(dsc) = &self.envelope.dsc {
            map.serialize_entry("trace", &Entries(dsc))?;
        }
        map.end()
    }
}

/// A dynamic sampling context as JSON: all values are strings, also the numbers.
struct Entries<'a>(&'a DynamicSamplingContext);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

#[derive(Serialize)]
struct ItemHeader {
    r#type: &'static str,
    length: usize,
    content_type: &'static str,
}

/// Who we are, in envelope headers and events.
#[derive(Debug)]
pub(crate) struct Sdk;

impl Serialize for Sdk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", SDK_NAME)?;
        map.serialize_entry("version", SDK_VERSION)?;
        map.end()
    }
}

/// A time in UTC with milliseconds.
struct Rfc3339(SystemTime);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A clock that was set to before 1970 or after 9999 cannot be told.
        let range = UNIX_EPOCH..UNIX_EPOCH + Duration::from_secs(253_402_300_800);
        let time = if range.contains(&self.0) { self.0 } else { UNIX_EPOCH };
        serializer.collect_str(&humantime::format_rfc3339_millis(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_can_be_told() {
        let day = Duration::from_secs(86_400);
        let text = |time| serde_json::to_string(&Rfc3339(time)).unwrap();
        assert_eq!(text(UNIX_EPOCH + day), "\"1970-01-02T00:00:00.000Z\"");
        assert_eq!(text(UNIX_EPOCH - day), "\"1970-01-01T00:00:00.000Z\"");
        assert_eq!(text(UNIX_EPOCH + day * 400 * 10_000), "\"1970-01-01T00:00:00.000Z\"");
    }
}
