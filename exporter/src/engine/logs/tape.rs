//! Log records as bytes. The thread that emits a record only copies it: a record in bytes needs no allocation of its own, and
//! so costs the thread less than a clone.
//!
//! | bytes | |
//! | --- | --- |
//! | 52 | the head: time, ids, flags, severity, and the lengths of the texts |
//! | … | body, target and event name |
//! | 9 for each attribute | its type, the length of its key, the length of its value |
//! | … | key and value |
//!
//! The bytes never leave this process.

use std::{
    str,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{Array, Key, KeyValue, SpanId, StringValue, TraceId, Value};

use crate::trace::{LogLine, SeverityNumber, TraceContext};

/// The types of attributes.
pub(super) mod tag {
    pub(crate) const FALSE: u8 = 0;
    pub(crate) const TRUE: u8 = 1;
    pub(crate) const INTEGER: u8 = 2;
    pub(crate) const DOUBLE: u8 = 3;
    pub(crate) const TEXT: u8 = 4;
    pub(crate) const FLAGS: u8 = 5;
    pub(crate) const INTEGERS: u8 = 6;
    pub(crate) const DOUBLES: u8 = 7;
    pub(crate) const TEXTS: u8 = 8;
}

/// Bits of the head.
pub(super) mod flag {
    /// The record has a trace id.
    pub(crate) const TRACE: u8 = 1;
    /// It is known whether the span is sampled.
    pub(crate) const DECIDED: u8 = 2;
    /// The span is sampled.
    pub(crate) const SAMPLED: u8 = 4;
    /// What the sampler decided is in the list beside the bytes.
    pub(crate) const CONTEXT: u8 = 8;
}

/// The length of the head of a record.
pub(super) const HEAD: usize = 52;

/// Reads the next record, and its context from the list.
pub(super) fn read(tape: &mut &[u8], contexts: &mut impl Iterator<Item = TraceContext>) -> Option<LogLine> {
    let before = tape.len();
    let nanos = u64::from_le_bytes(take(tape)?);
    let trace_id = TraceId::from_bytes(take(tape)?);
    let span_id = SpanId::from_bytes(take(tape)?);
    let [flags, severity, ..] = take::<4>(tape)?;
    let count = take_len(tape)?;
    let [body, target, name] = [take_len(tape)?, take_len(tape)?, take_len(tape)?];
    let has = |bit| flags & bit != 0;
    let mut line = LogLine {
        time: UNIX_EPOCH + Duration::from_nanos(nanos),
        trace_id: has(flag::TRACE).then_some(trace_id),
        span_id: Some(span_id).filter(|span_id| has(flag::TRACE) && *span_id != SpanId::INVALID),
        is_sampled: has(flag::DECIDED).then_some(has(flag::SAMPLED)),
        severity: SeverityNumber::new(severity, ""),
        body: text(tape, body)?.to_owned(),
        target: text(tape, target)?.to_owned(),
        event_name: text(tape, name)?.to_owned(),
        attributes: Vec::with_capacity(count),
        context: if has(flag::CONTEXT) { contexts.next() } else { None },
        size: 0,
    };
    for _ in 0..count {
        line.attributes.push(attribute(tape)?);
    }
    line.size = before - tape.len();
    Some(line)
}

fn attribute(tape: &mut &[u8]) -> Option<KeyValue> {
    let [tag] = take(tape)?;
    let [key, value] = [take_len(tape)?, take_len(tape)?];
    let key = Key::from(text(tape, key)?.to_owned());
    let mut bytes = bytes(tape, value)?;
    let value = match tag {
        tag::FALSE | tag::TRUE => Value::Bool(tag == tag::TRUE),
        tag::INTEGER => Value::I64(i64::from_le_bytes(take(&mut bytes)?)),
        tag::DOUBLE => Value::F64(f64::from_le_bytes(take(&mut bytes)?)),
        tag::FLAGS => Value::Array(Array::Bool(bytes.iter().map(|byte| *byte != 0).collect())),
        tag::INTEGERS => Value::Array(Array::I64(numbers(bytes, i64::from_le_bytes))),
        tag::DOUBLES => Value::Array(Array::F64(numbers(bytes, f64::from_le_bytes))),
        tag::TEXTS => Value::Array(Array::String(texts(bytes)?)),
        _ => Value::String(String::from_utf8_lossy(bytes).into_owned().into()),
    };
    Some(KeyValue::new(key, value))
}

fn numbers<T>(bytes: &[u8], of: fn([u8; 8]) -> T) -> Vec<T> {
    bytes.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok()).map(of).collect()
}

fn texts(mut bytes: &[u8]) -> Option<Vec<StringValue>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let len = take_len(&mut bytes)?;
        all.push(text(&mut bytes, len)?.to_owned().into());
    }
    Some(all)
}

fn take<const N: usize>(tape: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = tape.split_first_chunk()?;
    *tape = rest;
    Some(*first)
}

fn take_len(tape: &mut &[u8]) -> Option<usize> {
    u32::from_le_bytes(take(tape)?).try_into().ok()
}

fn bytes<'a>(tape: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (first, rest) = tape.split_at_checked(len)?;
    *tape = rest;
    Some(first)
}

fn text<'a>(tape: &mut &'a [u8], len: usize) -> Option<&'a str> {
    str::from_utf8(bytes(tape, len)?).ok()
}

/// A time as nanoseconds since 1970. One that the format cannot express is cut; it was never a real one.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into())
}
