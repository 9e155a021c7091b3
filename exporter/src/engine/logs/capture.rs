//! Copies a log record into bytes, on the thread that emits it. The record stays as it is, for the processors after ours.

use opentelemetry::{
    InstrumentationScope, SpanId, TraceId,
    logs::{AnyValue, Severity},
};
use opentelemetry_sdk::logs::SdkLogRecord;

use super::{
    any_value::{cut_bytes, text_of},
    tape::{HEAD, flag, nanos, tag},
};
use crate::{convert::size_of_names, trace::SeverityNumber};

/// The most bytes of the texts of a record. Sentry accepts a megabyte for a log, with its default attributes.
const MAX_RECORD: usize = 900_000;

/// The most attributes of a record.
const MAX_ATTRIBUTES: usize = 1000;

/// The most values of a list.
const MAX_LIST: usize = 10_000;

/// The texts and values that were cut from a record, and their bytes.
pub(crate) type Cut = (u64, u64);

/// What is left of a record's bytes.
struct Room {
    left: usize,
    cut: Cut,
}

impl Room {
    #[inline]
    fn fit<'a>(&mut self, text: &'a str) -> &'a str {
        if text.len() <= self.left {
            self.left -= text.len();
            return text;
        }
        self.fit_part(text)
    }

    #[cold]
    fn fit_part<'a>(&mut self, text: &'a str) -> &'a str {
        let part = cut_bytes(text, self.left);
        self.left -= part.len();
        self.lose(text.len() - part.len());
        part
    }

    fn lose(&mut self, bytes: usize) {
        self.cut.0 += 1;
        self.cut.1 += bytes as u64;
    }
}

/// The severity of a record.
pub(crate) fn severity(record: &SdkLogRecord) -> SeverityNumber {
    match record.severity_number() {
        Some(severity) => SeverityNumber::new(severity as u8, ""),
        None => SeverityNumber::new(0, record.severity_text().unwrap_or_default()),
    }
}

/// The severity of a `tracing` event or of a log line before it is a record.
pub(crate) fn severity_number(severity: Severity) -> SeverityNumber {
    SeverityNumber::new(severity as u8, "")
}

/// The record's target, or else the name of its scope.
#[inline]
pub(crate) fn target<'a>(record: &'a SdkLogRecord, scope: &'a InstrumentationScope) -> &'a str {
    record.target().map_or(scope.name(), AsRef::as_ref)
}

/// Appends a record to the tape. Returns what was cut.
pub(super) fn write(tape: &mut Vec<u8>, record: &SdkLogRecord, scope: &InstrumentationScope, has_context: bool) -> Cut {
    let mut room = Room { left: MAX_RECORD, cut: (0, 0) };
    let printed;
    let body = match record.body() {
        None => "",
        Some(AnyValue::String(text)) => text.as_str(),
        Some(other) => {
            printed = text_of(other, MAX_RECORD);
            &printed
        }
    };
    let texts = [body, target(record, scope), record.event_name().unwrap_or_default()].map(|text| room.fit(text));
    let place = tape.len();
    // One reservation for what nearly all records need.
    tape.reserve(HEAD + 256 + texts[0].len());
    tape.extend_from_slice(&head(record, texts, has_context));
    texts.iter().for_each(|text| tape.extend_from_slice(text.as_bytes()));
    let mut count = 0_u32;
    for (key, value) in record.attributes_iter() {
        if count as usize >= MAX_ATTRIBUTES || room.left < key.as_str().len() {
            room.lose(key.as_str().len() + size_of_value(value));
            continue;
        }
        count += u32::from(write_attribute(tape, key.as_str(), value, &mut room));
    }
    if let Some(place) = tape.get_mut(place + COUNT..).and_then(|rest| rest.first_chunk_mut()) {
        *place = count.to_le_bytes();
    }
    room.cut
}

/// The place of the number of attributes in the head.
const COUNT: usize = 36;

/// The head of a record. The number of attributes is written after them.
#[inline]
fn head(record: &SdkLogRecord, texts: [&str; 3], has_context: bool) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let time = record.timestamp().or(record.observed_timestamp()).map_or(0, nanos);
    let mut flags = if has_context { flag::CONTEXT } else { 0 };
    if let Some(context) = record.trace_context().filter(|context| context.trace_id != TraceId::INVALID) {
        flags |= flag::TRACE;
        if let Some(known) = context.trace_flags {
            flags |= flag::DECIDED | if known.is_sampled() { flag::SAMPLED } else { 0 };
        }
        head[8..24].copy_from_slice(&context.trace_id.to_bytes());
        if context.span_id != SpanId::INVALID {
            head[24..32].copy_from_slice(&context.span_id.to_bytes());
        }
    }
    head[..8].copy_from_slice(&time.to_le_bytes());
    (head[32], head[33]) = (flags, severity(record).number());
    for (place, text) in head[40..].chunks_exact_mut(4).zip(texts) {
        place.copy_from_slice(&(text.len() as u32).to_le_bytes());
    }
    head
}

/// Appends an attribute, unless it is a number that JSON cannot express.
#[inline]
fn write_attribute(tape: &mut Vec<u8>, key: &str, value: &AnyValue, room: &mut Room) -> bool {
    match value {
        AnyValue::Boolean(flag) => push(tape, if *flag { tag::TRUE } else { tag::FALSE }, room.fit(key), &[]),
        AnyValue::Int(number) => push(tape, tag::INTEGER, room.fit(key), &number.to_le_bytes()),
        AnyValue::Double(number) if number.is_finite() => {
            push(tape, tag::DOUBLE, room.fit(key), &number.to_le_bytes());
        }
        AnyValue::Double(_) => return false,
        AnyValue::String(text) => {
            let key = room.fit(key);
            push(tape, tag::TEXT, key, room.fit(text.as_str()).as_bytes());
        }
        other => write_other(tape, key, other, room),
    }
    true
}

#[inline]
fn push(tape: &mut Vec<u8>, tag: u8, key: &str, value: &[u8]) {
    let mut head = [tag; 9];
    head[1..5].copy_from_slice(&(key.len() as u32).to_le_bytes());
    head[5..].copy_from_slice(&(value.len() as u32).to_le_bytes());
    tape.extend_from_slice(&head);
    tape.extend_from_slice(key.as_bytes());
    tape.extend_from_slice(value);
}

/// Appends bytes, a list or a map. A list of one type stays a list; everything else becomes text.
#[cold]
fn write_other(tape: &mut Vec<u8>, key: &str, value: &AnyValue, room: &mut Room) {
    let key = room.fit(key);
    if let AnyValue::ListAny(values) = value {
        if let Some((tag, bytes)) = list(values, room.left) {
            room.left -= bytes.len();
            return push(tape, tag, key, &bytes);
        }
    }
    let text = text_of(value, room.left);
    push(tape, tag::TEXT, key, room.fit(&text).as_bytes());
}

/// The values of a list that all have one type, if they fit into `max` bytes. Integers among fractions are fractions.
fn list(values: &[AnyValue], max: usize) -> Option<(u8, Vec<u8>)> {
    let tag = tag_of(values)?;
    let mut bytes = Vec::new();
    for value in values {
        match value {
            AnyValue::Boolean(flag) => bytes.push(u8::from(*flag)),
            AnyValue::Int(number) if tag == tag::DOUBLES => bytes.extend((*number as f64).to_le_bytes()),
            AnyValue::Int(number) => bytes.extend(number.to_le_bytes()),
            AnyValue::Double(number) => bytes.extend(number.to_le_bytes()),
            AnyValue::String(text) if bytes.len() + text.as_str().len() <= max => {
                bytes.extend((text.as_str().len() as u32).to_le_bytes());
                bytes.extend(text.as_str().as_bytes());
            }
            _ => return None,
        }
    }
    (bytes.len() <= max).then_some((tag, bytes))
}

/// The type of a list that stays a list.
fn tag_of(values: &[AnyValue]) -> Option<u8> {
    if values.len() > MAX_LIST {
        return None;
    }
    let all = |is: fn(&AnyValue) -> bool| values.iter().all(is);
    if all(|value| matches!(value, AnyValue::String(_))) {
        return Some(tag::TEXTS);
    }
    if all(|value| matches!(value, AnyValue::Boolean(_))) {
        return Some(tag::FLAGS);
    }
    if all(|value| matches!(value, AnyValue::Int(_))) {
        return Some(tag::INTEGERS);
    }
    all(|value| matches!(value, AnyValue::Int(_) | AnyValue::Double(_))).then_some(tag::DOUBLES)
}

/// The size of a record that is dropped, as Sentry counts it, without the attributes that every log has.
pub(super) fn size(record: &SdkLogRecord, scope: &InstrumentationScope) -> usize {
    let body = match record.body() {
        // A list of one type is a text in the body, and so is a number.
        Some(AnyValue::String(text)) => text.as_str().len(),
        Some(other) => text_of(other, MAX_RECORD).len(),
        None => 0,
    };
    let attributes = record.attributes_iter().map(|(key, value)| match value {
        AnyValue::Double(number) if !number.is_finite() => 0,
        value => key.as_str().len() + size_of_value(value),
    });
    body + attributes.sum::<usize>() + size_of_names(target(record, scope), record.event_name().unwrap_or_default())
}

fn size_of_value(value: &AnyValue) -> usize {
    match value {
        AnyValue::Boolean(_) => 1,
        // In a list its place is kept by `null`, which has no size.
        AnyValue::Double(number) if !number.is_finite() => 0,
        AnyValue::Int(_) | AnyValue::Double(_) => 8,
        AnyValue::String(text) => text.as_str().len(),
        AnyValue::ListAny(values) if tag_of(values).is_some() => values.iter().map(size_of_value).sum(),
        other => text_of(other, MAX_RECORD).len(),
    }
}
