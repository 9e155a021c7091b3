//! Log records on their way to the worker. The thread that emits a record copies it to the end of three lists that already
//! have memory: a clone of the record would allocate for each of its texts, and the worker would free them.
//!
//! | list | of a record |
//! | --- | --- |
//! | `records` | one entry: time, ids, severity, and how much the other two lists have of it |
//! | `attributes` | keys and values, in order |
//! | `texts` | body, target, and the texts of attributes, in order; not those that live as long as the process |

use std::time::SystemTime;

use opentelemetry::{Array, Key, KeyValue, SpanId, TraceFlags, TraceId, Value};

use crate::trace::{LogLine, SeverityNumber, TraceContext};

/// Records in the order in which they were emitted.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) records: Vec<Record>,
    pub(super) attributes: Vec<(Key, Slot)>,
    pub(super) texts: String,
}

/// What a record has beside its attributes and texts.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) time: SystemTime,
    pub(super) ids: Option<Ids>,
    pub(super) severity: SeverityNumber,
    /// What the sampler decided. Only a record with an exception has it.
    pub(super) context: Option<Box<TraceContext>>,
    /// The length of its body in the texts.
    pub(super) body: usize,
    pub(super) target: Text,
    pub(super) event_name: &'static str,
    /// The number of its attributes.
    pub(super) attributes: usize,
    /// The bytes that it takes in the account of the records that wait.
    pub(super) size: usize,
}

/// The trace and span to which a record belongs.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) flags: Option<TraceFlags>,
}

/// A text of a record.
#[derive(Debug)]
pub(super) enum Text {
    /// It lives as long as the process.
    Static(&'static str),
    /// Its length in the texts.
    Copied(usize),
}

/// A value of an attribute.
#[derive(Debug)]
pub(super) enum Slot {
    Flag(bool),
    Integer(i64),
    Double(f64),
    /// Its length in the texts.
    Text(usize),
    /// In a box because lists are rare, and a large variant would make all values large.
    List(Box<Array>),
}

impl Tape {
    pub(super) fn copy(&mut self, text: &str) -> usize {
        self.texts.push_str(text);
        text.len()
    }

    /// Moves the records to a list.
    pub(super) fn drain(&mut self, lines: &mut Vec<LogLine>) {
        let Self { records, attributes, texts } = self;
        let mut attributes = attributes.drain(..);
        let mut texts = Texts(texts);
        lines.reserve(records.len());
        for record in records.drain(..) {
            lines.push(line(record, &mut attributes, &mut texts));
        }
        self.texts.clear();
    }

    /// Gives memory back, so that at most `bytes` remain in each list.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.records.shrink_to(bytes / size_of::<Record>());
        self.attributes.shrink_to(bytes / size_of::<(Key, Slot)>());
        self.texts.shrink_to(bytes);
    }
}

fn line(record: Record, attributes: &mut impl Iterator<Item = (Key, Slot)>, texts: &mut Texts<'_>) -> LogLine {
    let ids = record.ids.filter(|ids| ids.trace_id != TraceId::INVALID);
    LogLine {
        time: record.time,
        trace_id: ids.as_ref().map(|ids| ids.trace_id),
        span_id: ids.as_ref().map(|ids| ids.span_id).filter(|span_id| *span_id != SpanId::INVALID),
        is_sampled: ids.and_then(|ids| ids.flags).map(|flags| flags.is_sampled()),
        severity: record.severity,
        body: texts.take(record.body),
        target: match record.target {
            Text::Static(text) => text.into(),
            Text::Copied(length) => texts.take(length).into(),
        },
        event_name: record.event_name.into(),
        attributes: attributes
            .take(record.attributes)
            .map(|(key, slot)| KeyValue::new(key, value(slot, texts)))
            .collect(),
        context: record.context.map(|context| *context),
        size: record.size,
    }
}

fn value(slot: Slot, texts: &mut Texts<'_>) -> Value {
    match slot {
        Slot::Flag(flag) => Value::Bool(flag),
        Slot::Integer(number) => Value::I64(number),
        Slot::Double(number) => Value::F64(number),
        Slot::Text(length) => Value::String(texts.take(length).into()),
        Slot::List(list) => Value::Array(*list),
    }
}

/// The texts that were not taken yet.
struct Texts<'a>(&'a str);

impl Texts<'_> {
    fn take(&mut self, length: usize) -> String {
        let Some((text, rest)) = self.0.split_at_checked(length) else { return String::new() };
        self.0 = rest;
        text.to_owned()
    }
}
