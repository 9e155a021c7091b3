//! Requests of an OTLP exporter: what they contain, and parts of those that are too large.
//!
//! Of a message only its nesting is read. Traces and logs have the same: a request has resources (field 1), a resource has
//! scopes (field 2), and a scope has records (field 2). All else is copied as it is.
//!
//! Specification: <https://opentelemetry.io/docs/specs/otlp/>

mod json;
mod wire;

use opentelemetry_http::Bytes;

use self::{json::JsonRecords, wire::Records};
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
    /// Reads a body that is not compressed. Its parts have at most `largest` bytes, unless a single record has more.
    pub(crate) fn of(form: OtlpForm, body: &Bytes, largest: usize) -> Self {
        match form.format {
            OtlpFormat::Protobuf => Self::of_protobuf(form, body, MAX_PART.min(largest)),
            OtlpFormat::Json => Self::of_json(form, body, MAX_PART.min(largest)),
        }
    }

    /// The beginning of a body that is too large to be read to its end: what was found in it is dropped.
    pub(crate) fn of_too_large(form: OtlpForm, beginning: &[u8]) -> Self {
        let mut records = Records::default();
        // It is cut off, so it ends in an error.
        let _ = records.read(beginning);
        let records = if form.format == OtlpFormat::Json { json::count(beginning).unwrap_or(0) } else { records.len() };
        Self::refused(DropReason::TooLarge, form, records, beginning.len())
    }

    /// A body of which nothing can be read.
    pub(crate) fn of_unreadable(form: OtlpForm, body: &[u8]) -> Self {
        Self::refused(DropReason::Invalid, form, 0, body.len())
    }

    fn of_protobuf(form: OtlpForm, body: &Bytes, largest: usize) -> Self {
        let mut records = Records::default();
        if records.read(body).is_err() {
            return Self::refused(DropReason::Invalid, form, records.len(), body.len());
        }
        let counts = |part: std::ops::Range<usize>| form.counts(part.len(), records.bytes(part));
        let all = 0..records.len();
        if body.len() <= largest && !all.is_empty() {
            return Self::sent(vec![Envelope::otlp(form.mark(), body.clone(), counts(all))]);
        }
        let parts = records.parts(largest).into_iter();
        Self::in_parts(form, parts.map(|part| (counts(part.clone()), records.write(part))))
    }

    fn of_json(form: OtlpForm, body: &Bytes, largest: usize) -> Self {
        let Some(records) = json::count(body) else { return Self::of_unreadable(form, body) };
        if body.len() <= largest && records > 0 {
            return Self::sent(vec![Envelope::otlp(form.mark(), body.clone(), form.counts(records, body.len()))]);
        }
        let parts = JsonRecords::read(body).map(|records| records.parts(largest)).unwrap_or_default();
        let parts = parts.into_iter().filter(|(records, _)| *records > 0);
        Self::in_parts(form, parts.map(|(records, bytes)| (form.counts(records, bytes.len()), bytes)))
    }

    /// Sends those that the server accepts.
    fn in_parts(form: OtlpForm, all: impl Iterator<Item = (Counts, Vec<u8>)>) -> Self {
        let mut parts = Self::sent(Vec::new());
        for (counts, bytes) in all {
            if bytes.len() > MAX_BODY {
                let (_, dropped) = parts.dropped.get_or_insert((DropReason::TooLarge, Counts::NOTHING));
                *dropped += counts;
            } else {
                parts.envelopes.push(Envelope::otlp(form.mark(), bytes.into(), counts));
            }
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
