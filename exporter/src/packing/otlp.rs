//! Requests of an OTLP exporter: what they contain, and parts of those that are too large.
//!
//! Of a message only its nesting is read. Traces and logs have the same: a request has resources (field 1), a resource has
//! scopes (field 2), and a scope has records (field 2). All else is copied as it is.
//!
//! Specification: <https://opentelemetry.io/docs/specs/otlp/>

mod wire;

use opentelemetry_http::Bytes;
use serde::{Deserialize, de::IgnoredAny};

use self::wire::Records;
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
            OtlpFormat::Json => Self::of_json(form, body),
        }
    }

    /// The beginning of a body that is too large to be read to its end: what was found in it is dropped.
    pub(crate) fn of_too_large(form: OtlpForm, beginning: &[u8]) -> Self {
        let mut records = Records::default();
        // It is cut off, so it ends in an error.
        let _ = records.read(beginning);
        let records = if form.format == OtlpFormat::Json { count_json(beginning).unwrap_or(0) } else { records.len() };
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
        let mut parts = Self::sent(Vec::new());
        for part in records.parts(largest) {
            let counts = counts(part.clone());
            let bytes = records.write(part);
            if bytes.len() > MAX_BODY {
                let (_, dropped) = parts.dropped.get_or_insert((DropReason::TooLarge, Counts::NOTHING));
                *dropped += counts;
            } else {
                parts.envelopes.push(Envelope::otlp(form.mark(), bytes.into(), counts));
            }
        }
        parts
    }

    /// A body in JSON is sent as it is: exporters write it only if they are asked to.
    fn of_json(form: OtlpForm, body: &Bytes) -> Self {
        let Some(records) = count_json(body) else { return Self::of_unreadable(form, body) };
        let counts = form.counts(records, body.len());
        match body.len() {
            _ if counts.spans + counts.logs == 0 => Self::sent(Vec::new()),
            0..=MAX_BODY => Self::sent(vec![Envelope::otlp(form.mark(), body.clone(), counts)]),
            _ => Self { dropped: Some((DropReason::TooLarge, counts)), ..Self::sent(Vec::new()) },
        }
    }

    const fn sent(envelopes: Vec<Envelope>) -> Self {
        Self { envelopes, dropped: None, is_valid: true }
    }

    /// No exporter sends an empty body, so at least one record is lost.
    fn refused(reason: DropReason, form: OtlpForm, records: usize, bytes: usize) -> Self {
        Self { envelopes: Vec::new(), dropped: Some((reason, form.counts(records.max(1), bytes))), is_valid: false }
    }
}

/// The number of records in a body in JSON; `None` if it is none.
fn count_json(body: &[u8]) -> Option<usize> {
    let request: JsonRequest = serde_json::from_slice(body).ok()?;
    let scopes = request.resources.iter().flat_map(|resource| &resource.scopes);
    Some(scopes.map(|scope| scope.records.len()).sum())
}

/// The nesting of a body in JSON.
#[derive(Deserialize)]
struct JsonRequest {
    #[serde(default, rename = "resourceSpans", alias = "resourceLogs")]
    resources: Vec<JsonResource>,
}

#[derive(Deserialize)]
struct JsonResource {
    #[serde(default, rename = "scopeSpans", alias = "scopeLogs")]
    scopes: Vec<JsonScope>,
}

#[derive(Deserialize)]
struct JsonScope {
    #[serde(default, rename = "spans", alias = "logRecords")]
    records: Vec<IgnoredAny>,
}

#[cfg(test)]
mod tests;
