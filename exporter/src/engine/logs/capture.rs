//! Copies a log record, on the thread that emits it. The record stays as it is, for the processors after ours.

use std::{borrow::Cow, collections::VecDeque, time::UNIX_EPOCH};

use opentelemetry::{
    Array, InstrumentationScope, Key, StringValue,
    logs::{AnyValue, Severity},
};
use opentelemetry_sdk::logs::SdkLogRecord;

use super::{
    any_value::{cut_bytes, text_of},
    tape::{Ids, Record, Slot, Tape, Text},
};
use crate::{
    account::Trimmed,
    convert::size_of_names,
    trace::{SeverityNumber, TraceContext},
};

/// The most bytes of the texts of a record. Sentry accepts a megabyte for a log, with its default attributes.
const MAX_RECORD: usize = 900_000;

/// The most attributes of a record.
const MAX_ATTRIBUTES: usize = 1000;

/// The most values of a list.
const MAX_LIST: usize = 10_000;

/// What is left of a record's bytes.
struct Room {
    left: usize,
    cut: Trimmed,
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
        self.cut += Trimmed { values: 1, bytes: bytes as u64 };
    }
}

/// The severity of a record.
#[inline]
pub(crate) fn severity(record: &SdkLogRecord) -> SeverityNumber {
    match record.severity_number() {
        Some(severity) => severity_number(severity),
        None => SeverityNumber::new(0, record.severity_text().unwrap_or_default()),
    }
}

/// The severity of a `tracing` event or of a log line before it is a record.
#[inline]
pub(crate) fn severity_number(severity: Severity) -> SeverityNumber {
    SeverityNumber::new(severity as u8, "")
}

/// The record's target, or else the name of its scope.
#[inline]
pub(crate) fn target<'a>(record: &'a SdkLogRecord, scope: &'a InstrumentationScope) -> &'a str {
    record.target().map_or(scope.name(), AsRef::as_ref)
}

/// The values of a record that are neither texts nor numbers, as what they become. They may be large, so this is done
/// before the lock of the list is taken.
pub(super) struct Prepared {
    values: VecDeque<Part>,
    cut: Trimmed,
}

enum Part {
    Text(String),
    /// With its size.
    List(Array, usize),
}

impl Prepared {
    #[inline]
    pub(super) fn of(record: &SdkLogRecord) -> Self {
        let mut all = Self { values: VecDeque::new(), cut: Trimmed::default() };
        if record.body().is_some_and(|body| !matches!(body, AnyValue::String(_)))
            || record.attributes_iter().any(|(_, value)| is_nested(value))
        {
            all.fill(record);
        }
        all
    }

    #[cold]
    fn fill(&mut self, record: &SdkLogRecord) {
        let mut left = MAX_RECORD;
        if let Some(body) = record.body().filter(|body| !matches!(body, AnyValue::String(_))) {
            self.print(body, &mut left);
        }
        for (_, value) in record.attributes_iter().filter(|(_, value)| is_nested(value)).take(MAX_ATTRIBUTES) {
            match list(value, left) {
                Some((list, size)) => {
                    left -= size;
                    self.values.push_back(Part::List(list, size));
                }
                None => self.print(value, &mut left),
            }
        }
    }

    fn print(&mut self, value: &AnyValue, left: &mut usize) {
        let (text, cut) = text_of(value, *left);
        *left -= text.len();
        self.cut += cut;
        self.values.push_back(Part::Text(text));
    }

    /// The size of a value that is left out.
    #[cold]
    fn size_of(&mut self, value: &AnyValue) -> usize {
        let part = if is_nested(value) { self.values.pop_front() } else { None };
        match part {
            Some(Part::Text(text)) => text.len(),
            Some(Part::List(_, size)) => size,
            None => size_of_value(value),
        }
    }
}

#[inline]
const fn is_nested(value: &AnyValue) -> bool {
    !matches!(value, AnyValue::Boolean(_) | AnyValue::Int(_) | AnyValue::Double(_) | AnyValue::String(_))
}

/// Appends a record to the tape. Returns its size, and what was cut.
pub(super) fn write(
    tape: &mut Tape,
    (record, scope): (&SdkLogRecord, &InstrumentationScope),
    mut prepared: Prepared,
    context: Option<Box<TraceContext>>,
) -> (usize, Trimmed) {
    let mut room = Room { left: MAX_RECORD, cut: prepared.cut };
    let body = match record.body() {
        None => 0,
        Some(AnyValue::String(text)) => tape.copy(room.fit(text.as_str())),
        Some(_) => match prepared.values.pop_front() {
            Some(Part::Text(text)) => tape.copy(room.fit(&text)),
            Some(Part::List(..)) | None => 0,
        },
    };
    let target = match record.target() {
        Some(Cow::Borrowed(text)) => Text::Static(room.fit(text)),
        Some(Cow::Owned(text)) => Text::Copied(tape.copy(room.fit(text))),
        None => Text::Copied(tape.copy(room.fit(scope.name()))),
    };
    let event_name = room.fit(record.event_name().unwrap_or_default());
    let mut attributes = 0;
    for (key, value) in record.attributes_iter() {
        if attributes >= MAX_ATTRIBUTES || room.left < key.as_str().len() {
            room.lose(key.as_str().len() + prepared.size_of(value));
            continue;
        }
        room.left -= key.as_str().len();
        let Some(slot) = slot(tape, value, &mut room, &mut prepared) else { continue };
        // A key that lives as long as the process, as nearly all do, is copied without an allocation.
        tape.attributes.push((key.clone(), slot));
        attributes += 1;
    }
    let size = size_of::<Record>() + attributes * size_of::<(Key, Slot)>() + MAX_RECORD - room.left;
    // Without a clock a time is 0 or before it. Sentry has no earlier ones.
    let time =
        record.timestamp().filter(|time| *time > UNIX_EPOCH).or(record.observed_timestamp()).unwrap_or(UNIX_EPOCH);
    let ids = record.trace_context();
    let ids = ids.map(|ids| Ids { trace_id: ids.trace_id, span_id: ids.span_id, flags: ids.trace_flags });
    let severity = severity(record);
    tape.records.push(Record { time, ids, severity, context, body, target, event_name, attributes, size });
    (size, room.cut)
}
/// What is kept of a value; `None` for a number that JSON cannot express.
#[inline]
fn slot(tape: &mut Tape, value: &AnyValue, room: &mut Room, prepared: &mut Prepared) -> Option<Slot> {
    match value {
        AnyValue::Boolean(flag) => Some(Slot::Flag(*flag)),
        AnyValue::Int(number) => Some(Slot::Integer(*number)),
        AnyValue::Double(number) => number.is_finite().then_some(Slot::Double(*number)),
        AnyValue::String(text) => Some(Slot::Text(tape.copy(room.fit(text.as_str())))),
        _ => Some(prepared_slot(tape, prepared.values.pop_front(), room)),
    }
}

#[cold]
fn prepared_slot(tape: &mut Tape, part: Option<Part>, room: &mut Room) -> Slot {
    match part {
        Some(Part::Text(text)) => Slot::Text(tape.copy(room.fit(&text))),
        Some(Part::List(list, size)) if size <= room.left => {
            room.left -= size;
            Slot::List(Box::new(list))
        }
        part => {
            // Texts have taken its room, or it is one of too many.
            room.lose(if let Some(Part::List(_, size)) = part { size } else { 0 });
            Slot::Text(0)
        }
    }
}

/// A list whose values all have one type, and its size, if it fits into `max` bytes. Every other list becomes a text.
/// Integers among fractions are fractions.
fn list(value: &AnyValue, max: usize) -> Option<(Array, usize)> {
    let AnyValue::ListAny(values) = value else { return None };
    let list = array(values)?;
    let size = size_of_list(&list);
    (size <= max).then_some((list, size))
}

fn array(values: &[AnyValue]) -> Option<Array> {
    if values.len() > MAX_LIST {
        return None;
    }
    let flag = |value: &AnyValue| if let AnyValue::Boolean(flag) = value { Some(*flag) } else { None };
    let integer = |value: &AnyValue| if let AnyValue::Int(number) = value { Some(*number) } else { None };
    let double = |value: &AnyValue| match value {
        AnyValue::Int(number) => Some(*number as f64),
        AnyValue::Double(number) => Some(*number),
        _ => None,
    };
    let text = |value: &AnyValue| if let AnyValue::String(text) = value { Some(text.clone()) } else { None };
    let texts = || values.iter().map(text).collect::<Option<Vec<StringValue>>>().map(Array::String);
    let flags = || values.iter().map(flag).collect::<Option<_>>().map(Array::Bool);
    let integers = || values.iter().map(integer).collect::<Option<_>>().map(Array::I64);
    let doubles = || values.iter().map(double).collect::<Option<_>>().map(Array::F64);
    texts().or_else(flags).or_else(integers).or_else(doubles)
}

fn size_of_list(list: &Array) -> usize {
    match list {
        Array::Bool(all) => all.len(),
        Array::I64(all) => all.len() * size_of::<i64>(),
        Array::F64(all) => all.len() * size_of::<f64>(),
        Array::String(all) => all.iter().map(|text| size_of_val(text) + text.as_str().len()).sum(),
        _ => 0,
    }
}

/// The size of a record that is dropped, as Sentry counts it, without the attributes that every log has.
pub(super) fn size(record: &SdkLogRecord, scope: &InstrumentationScope) -> usize {
    let body = match record.body() {
        // A list of one type is a text in the body, and so is a number.
        Some(AnyValue::String(text)) => text.as_str().len(),
        Some(other) => text_of(other, MAX_RECORD).0.len(),
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
        AnyValue::ListAny(values) if array(values).is_some() => values.iter().map(size_of_value).sum(),
        other => text_of(other, MAX_RECORD).0.len(),
    }
}
