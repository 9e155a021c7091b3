//! Envelopes of streamed spans: one item, a container of spans that have one trace and one context.

use std::mem;

use opentelemetry::{TraceId, otel_warn};
use opentelemetry_http::Bytes;
use opentelemetry_sentry_protocol::{Dsn, DynamicSamplingContext, Service};
use serde::Serialize;

use super::{
    contain::contain,
    envelope::{Entries, Envelope, ItemHeader},
    packer::Packer,
    trim::trim,
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{Sdk, SegmentInfo, Sender, StreamedSpan},
    json,
    trace::{Bucket, EndedSpan, Fate, MAX_BUCKET, Trace},
};

/// Begins and ends the payload of a container.
const HEAD: &[u8] = br#"{"version":2,"items":["#;
const TAIL: &[u8] = b"]}";

impl Packer {
    /// Makes the envelopes of a bucket: of its exceptions, if the application wants these, and of its spans.
    pub(crate) fn pack_bucket(&mut self, bucket: Bucket, ledger: &Ledger) -> Vec<Envelope> {
        let Bucket { trace_id, context, spans } = bucket;
        let mut trace = Trace { context, spans, fate: Fate::Early };
        self.scrub(&mut trace);
        let mut all = if self.rules.exceptions_as_errors { self.pack_errors(&trace, ledger) } else { Vec::new() };
        let bucket = Bucket { trace_id, context: trace.context, spans: trace.spans };
        all.extend(envelopes(bucket, &self.sender, &mut self.buffer, ledger));
        all
    }
}

/// Makes the envelopes of a bucket, usually one. Each has at most [`MAX_BUCKET`] bytes of spans: a bucket counts memory,
/// and text that must be escaped takes more as JSON.
fn envelopes(bucket: Bucket, sender: &Sender, buffer: &mut [u8], ledger: &Ledger) -> Vec<Envelope> {
    let headers = headers(&bucket, sender);
    let mut payload = Payload::default();
    let mut all = Vec::new();
    for mut span in bucket.spans {
        let Some(json) = span_json(&mut span, sender, buffer, ledger) else { continue };
        if !payload.has_room(json.len()) {
            all.push(mem::take(&mut payload).into_envelope(&headers));
        }
        payload.add(json);
    }
    if payload.spans > 0 {
        all.push(payload.into_envelope(&headers));
    }
    all
}

/// Writes a span into the buffer, whose size is the limit of a span. The longest texts of one that is too large are cut
/// until it fits.
fn span_json<'b>(span: &mut EndedSpan, sender: &Sender, buffer: &'b mut [u8], ledger: &Ledger) -> Option<&'b [u8]> {
    let mut all = Trimmed::default();
    let mut room = buffer.len();
    loop {
        let segment = span.segment.clone();
        let segment = segment.as_ref().map(|segment| SegmentInfo { id: segment.id, name: segment.name() });
        let streamed = StreamedSpan { sender, span, segment };
        match contain("serialisation", || json::write(buffer, &streamed)) {
            Some(Ok(size)) if size <= buffer.len() => {
                ledger.trimmed(all);
                return buffer.get(..size);
            }
            Some(Ok(_)) if room > 0 => {
                // Escaping makes a text longer, so the first cut may not be enough.
                room /= 2;
                all += trim(span.data_mut(), room);
            }
            Some(Ok(_)) => {
                ledger.dropped(DropReason::Invalid, Counts::spans(1));
                return None;
            }
            Some(Err(_)) | None => {
                otel_warn!(name: "SentryExporter.SerializationFailed");
                ledger.dropped(DropReason::InternalSdkError, Counts::spans(1));
                return None;
            }
        }
    }
}

/// The payload of a container that is being filled.
#[derive(Default)]
struct Payload {
    bytes: Vec<u8>,
    spans: usize,
}

impl Payload {
    /// Whether one more span fits. An empty payload takes any.
    fn has_room(&self, span: usize) -> bool {
        self.spans == 0 || self.bytes.len() + 1 + span + TAIL.len() <= MAX_BUCKET
    }

    fn add(&mut self, span: &[u8]) {
        self.bytes.extend_from_slice(if self.spans == 0 { HEAD } else { b"," });
        self.bytes.extend_from_slice(span);
        self.spans += 1;
    }

    fn into_envelope(mut self, headers: &Bytes) -> Envelope {
        self.bytes.extend_from_slice(TAIL);
        let header = ItemHeader {
            r#type: "span",
            item_count: Some(self.spans),
            length: self.bytes.len(),
            content_type: "application/vnd.sentry.items.span.v2+json",
        };
        let items = [json::to_vec(&header).as_slice(), b"\n", &self.bytes].concat();
        Envelope { headers: headers.clone(), items: items.into(), counts: Counts::spans(self.spans) }
    }
}

#[derive(Serialize)]
struct Headers<'a> {
    sdk: Sdk,
    trace: Entries<'a>,
}

/// The envelope's headers. They always have a context: without one Sentry rejects all spans of the container.
fn headers(bucket: &Bucket, sender: &Sender) -> Bytes {
    let Bucket { trace_id, context, .. } = bucket;
    let known = context.as_deref().and_then(|context| context.dsc(&sender.service, *trace_id));
    let dsc = known.unwrap_or_else(|| minimal(&sender.service, *trace_id));
    json::to_vec(&Headers { sdk: Sdk, trace: Entries(&dsc) }).into()
}

/// The context of a trace about which nothing is known. It is made for this header only and never propagated, so it says
/// nothing about sampling.
fn minimal(service: &Service, trace_id: TraceId) -> DynamicSamplingContext {
    let (trace_id, org_id) = (trace_id.to_string(), service.org_id().map(|id| id.to_string()));
    let entries = [
        ("environment", Some(service.environment())),
        ("release", service.release()),
        ("public_key", service.dsn().map(Dsn::public_key)),
        ("trace_id", Some(trace_id.as_str())),
        ("org_id", org_id.as_deref()),
    ];
    DynamicSamplingContext::from_entries(entries.into_iter().filter_map(|(key, value)| Some((key, value?))))
}

#[cfg(test)]
mod tests;
