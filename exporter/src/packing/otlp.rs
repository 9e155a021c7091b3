//! Requests of an OTLP exporter: what they contain, and parts of those that are too large.
//!
//! Of a message only its nesting is read. Traces and logs have the same: a request has resources (field 1), a resource has
//! scopes (field 2), and a scope has records (field 2). All else is copied as it is.
//!
//! Specification: <https://opentelemetry.io/docs/specs/otlp/>

mod json;
mod splitter;
mod wire;

use opentelemetry_http::Bytes;

use self::{
    splitter::{Part, Splitter},
    wire::{Count, Protobuf},
};
use super::{
    envelope::Envelope,
    form::{OtlpForm, OtlpFormat},
};
use crate::account::{Counts, DropReason};

/// The most bytes of a body that is sent. Sentry refuses more with 413.
const MAX_BODY: usize = 12 << 20;

/// Above this a body is sent in parts: a smaller one is sooner compressed and costs less if it is lost.
const MAX_PART: usize = 4 << 20;

/// What becomes of a body.
#[derive(Debug)]
pub(crate) struct OtlpParts {
    /// What is sent.
    pub(crate) envelopes: Vec<Envelope>,
    /// What cannot be sent, and why.
    pub(crate) dropped: Option<(DropReason, Counts)>,
    /// Whether the body is what it claims to be. Otherwise what was found in it is dropped.
    pub(crate) is_valid: bool,
}

impl OtlpParts {
    /// Reads a body that is not compressed. Its parts have at most `largest` bytes, unless a single record has more, or what
    /// describes its resource and its scope takes half of that.
    pub(crate) fn of(form: OtlpForm, body: &Bytes, largest: usize) -> Self {
        match form.format {
            OtlpFormat::Protobuf => Self::of_protobuf(form, body, MAX_PART.min(largest)),
            OtlpFormat::Json => Self::of_json(form, body, MAX_PART.min(largest)),
        }
    }

    /// The beginning of a body that is too large to be read to its end: what was found in it is dropped.
    pub(crate) fn of_too_large(form: OtlpForm, beginning: &[u8]) -> Self {
        let mut count = Count::default();
        if form.format == OtlpFormat::Protobuf {
            // It is cut off, so it ends in an error. Of JSON nothing can be read then.
            let _ = count.read(beginning);
        }
        Self::refused(DropReason::TooLarge, form, count.records, beginning.len())
    }

    /// A body of which nothing can be read.
    pub(crate) fn of_unreadable(form: OtlpForm, body: &[u8]) -> Self {
        Self::refused(DropReason::Invalid, form, 0, body.len())
    }

    fn of_protobuf(form: OtlpForm, body: &Bytes, largest: usize) -> Self {
        let mut count = Count::default();
        if count.read(body).is_err() {
            return Self::refused(DropReason::Invalid, form, count.records, body.len());
        }
        if body.len() <= largest && count.records > 0 {
            let counts = form.counts(count.records, count.bytes);
            return Self::sent(vec![Envelope::otlp(form.mark(), body.clone(), counts)]);
        }
        let mut splitter = Splitter::new(Protobuf, largest, MAX_BODY);
        let is_read = wire::split(body, &mut splitter).is_ok();
        debug_assert!(is_read, "it was read before");
        Self::in_parts(form, count.records, splitter.finish())
    }

    fn of_json(form: OtlpForm, body: &Bytes, largest: usize) -> Self {
        let text = std::str::from_utf8(body).ok();
        let Some((text, records)) = text.and_then(|text| Some((text, json::count(text)?))) else {
            return Self::of_unreadable(form, body);
        };
        if body.len() <= largest && records > 0 {
            return Self::sent(vec![Envelope::otlp(form.mark(), body.clone(), form.counts(records, body.len()))]);
        }
        Self::in_parts(form, records, json::split(text, largest, MAX_BODY).unwrap_or_default())
    }

    /// Sends those that the server accepts. `records` is how many there are.
    fn in_parts(form: OtlpForm, records: usize, all: Vec<Part>) -> Self {
        let mut parts = Self::sent(Vec::new());
        let found: usize = all.iter().map(|part| part.records).sum();
        for part in all {
            let counts = form.counts(part.records, part.record_bytes);
            if part.body.is_empty() {
                let (_, dropped) = parts.dropped.get_or_insert((DropReason::TooLarge, Counts::NOTHING));
                *dropped += counts;
            } else {
                parts.envelopes.push(Envelope::otlp(form.mark(), part.body.into(), counts));
            }
        }
        // Lists of JSON whose names do not belong together: a request that no server reads.
        if found < records {
            return Self::refused(DropReason::Invalid, form, records, 0);
        }
        parts
    }

    const fn sent(envelopes: Vec<Envelope>) -> Self {
        Self { envelopes, dropped: None, is_valid: true }
    }

    /// No exporter sends an empty body, so at least one record is lost.
    fn refused(reason: DropReason, form: OtlpForm, records: usize, bytes: usize) -> Self {
        Self { envelopes: Vec::new(), dropped: Some((reason, form.counts(records.max(1), bytes))), is_valid: false }
    }
}

#[cfg(test)]
mod tests;
