//! Envelopes of streamed spans: one item, a container of spans that have one trace and one context.

use std::{borrow::Cow, collections::HashSet, mem};

use foldhash::fast::RandomState;
use opentelemetry::{SpanId, TraceId, otel_warn};
use opentelemetry_http::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::{
    contain::contain,
    envelope::{Entries, Envelope, HEAD, ItemHeader, TAIL},
    hook::Hooks,
    trim::trim,
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{Sdk, SegmentInfo, Sender, StreamedSpan},
    json,
    trace::{Bucket, EndedSpan, TraceContext, TraceLifecycle, known_or_minimal},
};

/// The most bytes of a span that Sentry accepts. Only what cannot be cut, or what a hook returns, is larger than the buffer.
const MAX_SPAN: usize = 10 << 20;

/// Makes the envelopes of a bucket, usually one. Each has at most `limit` bytes of spans, unless a single span has more: a
/// bucket counts memory, and text that must be escaped takes more as JSON.
pub(super) fn envelopes(bucket: &mut Bucket, hooks: &Hooks, mut writer: SpanWriter<'_>, limit: usize) -> Vec<Envelope> {
    let headers = headers(bucket.trace_id, bucket.context.as_deref(), writer.sender);
    // As JSON, spans take about as much as in memory.
    let mut payload = Payload { bytes: Vec::with_capacity(bucket.size().min(limit)), ..Payload::default() };
    let mut all = Vec::new();
    for span in &mut bucket.spans {
        let span_id = span.span_context.span_id();
        let Some(json) = writer.write(span, |streamed| hooked(hooks, streamed)) else { continue };
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

/// The span as the application's hook has changed it; `None` if it has not.
fn hooked(hooks: &Hooks, span: &StreamedSpan<'_>) -> Option<Value> {
    if !hooks.has_span() {
        return None;
    }
    let json = contain("serialisation", || serde_json::to_value(span))?.ok()?;
    hooks.run_streamed(json, span.status_word())
}

/// Writes spans, one after the other.
#[derive(Debug)]
pub(super) struct SpanWriter<'a> {
    pub(super) sender: &'a Sender,
    /// The transaction beside which the spans leave; `None` in a stream.
    pub(super) transaction: Option<SegmentInfo<'a>>,
    /// The span that was written last. Its size is the one to which a span is cut.
    pub(super) buffer: &'a mut [u8],
    pub(super) ledger: &'a Ledger,
}

/// Where the JSON of a span is.
enum Written {
    /// In the buffer, with this size.
    InBuffer(usize),
    Large(Vec<u8>),
}

impl SpanWriter<'_> {
    /// Writes a span, or what `change` makes of it. Counts one that cannot be sent.
    pub(super) fn write(
        &mut self,
        span: &mut EndedSpan,
        change: impl Fn(&StreamedSpan<'_>) -> Option<Value>,
    ) -> Option<Cow<'_, [u8]>> {
        match self.try_write(span, change) {
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

    fn try_write(
        &mut self,
        span: &mut EndedSpan,
        change: impl Fn(&StreamedSpan<'_>) -> Option<Value>,
    ) -> Result<Written, DropReason> {
        let size = self.cut_to_fit(span)?;
        if let Some(changed) = change(&self.streamed(span)) {
            return large(json::size(&changed), || json::to_vec(&changed));
        }
        if size <= self.buffer.len() {
            return Ok(Written::InBuffer(size));
        }
        large(size, || json::to_vec(&self.streamed(span)))
    }

    /// Writes a span into the buffer. The longest texts of one that is too large are cut until it fits; what cannot be cut
    /// may still be too large. Returns its size.
    fn cut_to_fit(&mut self, span: &mut EndedSpan) -> Result<usize, DropReason> {
        let (mut all, mut room) = (Trimmed::default(), self.buffer.len());
        loop {
            let streamed = streamed(self.sender, self.transaction, span);
            let size = contain("serialisation", || json::write(self.buffer, &streamed));
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

    fn streamed<'s>(&'s self, span: &'s EndedSpan) -> StreamedSpan<'s> {
        streamed(self.sender, self.transaction, span)
    }
}

fn streamed<'a>(sender: &'a Sender, transaction: Option<SegmentInfo<'a>>, span: &'a EndedSpan) -> StreamedSpan<'a> {
    let own = || span.segment.as_deref().map(|segment| SegmentInfo { id: segment.id, name: segment.name() });
    let (segment, lifecycle) = match transaction {
        None => (own(), TraceLifecycle::Stream),
        transaction => (transaction, TraceLifecycle::Transactions),
    };
    StreamedSpan { sender, span, segment, lifecycle }
}

/// The JSON of a span that has no room in the buffer.
fn large(size: usize, json: impl FnOnce() -> Vec<u8>) -> Result<Written, DropReason> {
    if size <= MAX_SPAN { Ok(Written::Large(json())) } else { Err(DropReason::TooLarge) }
}

/// The payload of a container that is being filled.
#[derive(Debug, Default)]
pub(super) struct Payload {
    bytes: Vec<u8>,
    spans: usize,
    /// Of two spans with one id in an envelope, Sentry drops one in silence. A broken generator of ids makes such spans.
    ids: HashSet<SpanId, RandomState>,
}

impl Payload {
    /// Whether one more span fits. An empty payload takes any.
    pub(super) fn has_room(&self, id: SpanId, span: usize, limit: usize) -> bool {
        self.spans == 0 || (self.bytes.len() + 1 + span + TAIL.len() <= limit && !self.has(id))
    }

    /// Whether it has a span with this id.
    pub(super) fn has(&self, id: SpanId) -> bool {
        self.ids.contains(&id)
    }

    /// Its bytes when it is complete.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + TAIL.len()
    }

    /// The number of its spans.
    pub(super) const fn len(&self) -> usize {
        self.spans
    }

    pub(super) fn add(&mut self, id: SpanId, span: &[u8]) {
        self.ids.insert(id);
        self.bytes.extend_from_slice(if self.spans == 0 { HEAD } else { b"," });
        self.bytes.extend_from_slice(span);
        self.spans += 1;
    }

    /// The item's line of headers and its payload.
    pub(super) fn into_item(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(TAIL);
        let header = ItemHeader {
            r#type: "span",
            item_count: Some(self.spans),
            length: self.bytes.len(),
            content_type: "application/vnd.sentry.items.span.v2+json",
        };
        [json::to_vec(&header).as_slice(), b"\n", &self.bytes].concat()
    }

    pub(super) fn into_envelope(self, headers: &Bytes) -> Envelope {
        let counts = Counts::spans(self.spans);
        Envelope { headers: headers.clone(), items: self.into_item().into(), counts }
    }
}

#[derive(Serialize)]
struct Headers<'a> {
    sdk: Sdk,
    trace: Entries<'a>,
}

/// The envelope's headers. They always have a context: without one Sentry rejects all spans of the container.
pub(super) fn headers(trace_id: TraceId, context: Option<&TraceContext>, sender: &Sender) -> Bytes {
    let dsc = known_or_minimal(context, &sender.service, trace_id);
    json::to_vec(&Headers { sdk: Sdk, trace: Entries(&dsc) }).into()
}

#[cfg(test)]
mod tests;
