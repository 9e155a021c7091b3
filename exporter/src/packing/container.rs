//! Envelopes of streamed spans: one item, a container of spans that have one trace and one context.

use std::{borrow::Cow, collections::HashSet, mem, sync::Arc};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId, otel_warn};
use opentelemetry_http::Bytes;
use opentelemetry_sentry_protocol::{Dsn, DynamicSamplingContext, Service};
use serde::Serialize;
use serde_json::Value;

use super::{
    contain::contain,
    envelope::{Entries, Envelope, ItemHeader},
    hook::Hooks,
    packer::Packer,
    trim::trim,
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{Sdk, SegmentInfo, Sender, StreamedSpan},
    json,
    trace::{Bucket, EndedSpan, Fate, Trace, TraceContext},
};

/// Begins and ends the payload of a container.
const HEAD: &[u8] = br#"{"version":2,"items":["#;
const TAIL: &[u8] = b"]}";

/// The most bytes of a span that Sentry accepts. Only what cannot be cut, or what a hook returns, is larger than the buffer.
const MAX_SPAN: usize = 10 << 20;

impl Packer {
    /// Makes the envelopes of a bucket: of its exceptions, if the application wants these, and of its spans.
    pub(crate) fn pack_bucket(&mut self, bucket: Bucket, ledger: &Ledger) -> Vec<Envelope> {
        let Bucket { trace_id, context, spans } = bucket;
        let mut trace = Trace { context, spans, fate: Fate::Early };
        self.scrub(&mut trace);
        let mut all = Vec::new();
        if self.rules.exceptions_as_errors {
            // An error event has the same context as the spans, also if it is made here.
            let dsc = dsc(trace.context.as_deref(), &self.sender.service, trace_id);
            trace.context = Some(Arc::new(TraceContext::Frozen(dsc)));
            all = self.pack_errors(&trace, ledger);
        }
        let before = trace.spans.len();
        trace.spans.retain(|span| !span.is_ignored);
        ledger.dropped(DropReason::Ignored, Counts::spans(before - trace.spans.len()));
        let bucket = Bucket { trace_id, context: trace.context, spans: trace.spans };
        let Self { sender, rules, buffer, container_limit, .. } = self;
        let mut writer = SpanWriter { sender, hooks: &rules.hooks, buffer, ledger };
        all.extend(envelopes(bucket, &mut writer, *container_limit));
        all
    }
}

/// Makes the envelopes of a bucket, usually one. Each has at most `limit` bytes of spans, unless a single span has more: a
/// bucket counts memory, and text that must be escaped takes more as JSON.
fn envelopes(bucket: Bucket, writer: &mut SpanWriter<'_>, limit: usize) -> Vec<Envelope> {
    let headers = headers(&bucket, writer.sender);
    let mut payload = Payload::default();
    let mut all = Vec::new();
    for mut span in bucket.spans {
        let span_id = span.span_context.span_id();
        let Some(json) = writer.write(&mut span) else { continue };
        if !payload.has_room(span_id, json.len(), limit) {
            all.push(mem::take(&mut payload).into_envelope(&headers));
        }
        payload.add(span_id, &json);
    }
    if payload.spans > 0 {
        all.push(payload.into_envelope(&headers));
    }
    all
}

/// Writes spans, one after the other.
struct SpanWriter<'a> {
    sender: &'a Sender,
    hooks: &'a Hooks,
    /// The span that was written last. Its size is the one to which a span is cut.
    buffer: &'a mut [u8],
    ledger: &'a Ledger,
}

/// Where the JSON of a span is.
enum Written {
    /// In the buffer, with this size.
    InBuffer(usize),
    Large(Vec<u8>),
}

impl SpanWriter<'_> {
    /// Writes a span as the hook returns it. Counts one that cannot be sent.
    fn write(&mut self, span: &mut EndedSpan) -> Option<Cow<'_, [u8]>> {
        match self.try_write(span) {
            Ok(Written::InBuffer(size)) => self.buffer.get(..size).map(Cow::Borrowed),
            Ok(Written::Large(json)) => Some(json.into()),
            Err(reason) => {
                if reason == DropReason::InternalSdkError {
                    otel_warn!(name: "SentryExporter.SerializationFailed");
                }
                self.ledger.dropped(reason, Counts::spans(1));
                None
            }
        }
    }

    fn try_write(&mut self, span: &mut EndedSpan) -> Result<Written, DropReason> {
        let size = self.cut_to_fit(span)?;
        if let Some(changed) = self.hooked(span) {
            return large(json::size(&changed), || json::to_vec(&changed));
        }
        if size <= self.buffer.len() {
            return Ok(Written::InBuffer(size));
        }
        large(size, || json::to_vec(&streamed(self.sender, span)))
    }

    /// Writes a span into the buffer. The longest texts of one that is too large are cut until it fits; what cannot be cut
    /// may still be too large. Returns its size.
    fn cut_to_fit(&mut self, span: &mut EndedSpan) -> Result<usize, DropReason> {
        let (mut all, mut room) = (Trimmed::default(), self.buffer.len());
        loop {
            let size = contain("serialisation", || json::write(self.buffer, &streamed(self.sender, span)));
            let size = size.and_then(Result::ok).ok_or(DropReason::InternalSdkError)?;
            if size <= self.buffer.len() || room == 0 {
                self.ledger.trimmed(all);
                return Ok(size);
            }
            // Escaping makes a text longer, so the first cut may not be enough.
            room /= 2;
            all += trim(span.data_mut(), room);
        }
    }

    /// The span as the application's hook has changed it; `None` if it has not.
    fn hooked(&self, span: &EndedSpan) -> Option<Value> {
        if !self.hooks.has_span() {
            return None;
        }
        let streamed = streamed(self.sender, span);
        let json = contain("serialisation", || serde_json::to_value(&streamed))?.ok()?;
        self.hooks.run_streamed(json, streamed.status_word())
    }
}

fn streamed<'a>(sender: &'a Sender, span: &'a EndedSpan) -> StreamedSpan<'a> {
    let segment = span.segment.as_deref().map(|segment| SegmentInfo { id: segment.id, name: segment.name() });
    StreamedSpan { sender, span, segment }
}

/// The JSON of a span that has no room in the buffer.
fn large(size: usize, json: impl FnOnce() -> Vec<u8>) -> Result<Written, DropReason> {
    if size <= MAX_SPAN { Ok(Written::Large(json())) } else { Err(DropReason::TooLarge) }
}

/// The payload of a container that is being filled.
#[derive(Default)]
struct Payload {
    bytes: Vec<u8>,
    spans: usize,
    /// Of two spans with one id in an envelope, Sentry drops one in silence. A broken generator of ids makes such spans.
    ids: HashSet<SpanId, RandomState>,
}

impl Payload {
    /// Whether one more span fits. An empty payload takes any.
    fn has_room(&self, id: SpanId, span: usize, limit: usize) -> bool {
        self.spans == 0 || (self.bytes.len() + 1 + span + TAIL.len() <= limit && !self.ids.contains(&id))
    }

    fn add(&mut self, id: SpanId, span: &[u8]) {
        self.ids.insert(id);
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
    let dsc = dsc(context.as_deref(), &sender.service, *trace_id);
    json::to_vec(&Headers { sdk: Sdk, trace: Entries(&dsc) }).into()
}

/// The context of a trace, or a minimal one if it is not known.
fn dsc(context: Option<&TraceContext>, service: &Service, trace_id: TraceId) -> DynamicSamplingContext {
    let known = context.and_then(|context| context.dsc(service, trace_id));
    known.unwrap_or_else(|| minimal(service, trace_id))
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
