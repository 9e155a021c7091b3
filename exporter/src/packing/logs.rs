//! Makes log items of records.

use opentelemetry::{KeyValue, StringValue, Value, otel_warn};
use web_time::Instant;

use super::{
    batch::MAX_BYTES,
    contain::contain,
    envelope::{Envelope, HEAD, TAIL},
    hook::Hooked,
    packer::Packer,
    prompts::remove_prompts_of_log,
    trim::{keep_keys, longest_that_fits, size_of_keys, with_mark},
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{LogItem, line_of},
    json,
    trace::{EndedSpan, LogLine},
};

impl Packer {
    /// The size of a log's default attributes, as Sentry counts it. What is dropped before it is converted counts with them.
    pub(crate) fn size_of_empty_log(&self) -> u64 {
        let line = LogLine::default();
        LogItem::new(&line, &self.sender, self.process, 0).size()
    }

    /// Adds a log to the batch: hides secrets, notes an exception, runs the hook, and writes the item. Returns the envelopes
    /// that are full.
    pub(crate) fn pack_log(&mut self, mut line: LogLine, now: Instant, ledger: &Ledger) -> Vec<Envelope> {
        if self.rules.removes_prompts {
            remove_prompts_of_log(&mut line);
        }
        self.rules.scrubber.scrub_log(&mut line.body, &mut line.attributes);
        let errors = self.note_line(&mut line, now, ledger);
        let full = self.finish_log(line, ledger);
        errors.into_iter().chain(full).collect()
    }

    /// Makes logs of the events in spans, if the application wants that and no log processor sees the same lines.
    pub(super) fn pack_span_events(&mut self, spans: &[EndedSpan], ledger: &Ledger) -> Vec<Envelope> {
        if !self.rules.logs_from_span_events || self.has_log_processor {
            return Vec::new();
        }
        let lines = spans.iter().flat_map(|span| span.events.iter().filter_map(move |event| line_of(span, event)));
        let mut lines: Vec<_> = lines.collect();
        lines.sort_by_key(|line| line.time);
        ledger.logs_received(lines.len() as u64);
        let mut envelopes = Vec::new();
        for line in lines {
            self.leave_trail(&line);
            envelopes.extend(self.finish_log(line, ledger));
        }
        envelopes
    }

    /// Notes whether a log processor uses this exporter.
    pub(crate) const fn set_log_processor(&mut self, is_there: bool) {
        self.has_log_processor = is_there;
    }

    /// Runs the hook, and writes the item. Returns the envelopes that are full.
    fn finish_log(&mut self, line: LogLine, ledger: &Ledger) -> Vec<Envelope> {
        let Some(line) = self.apply_log_hook(line, ledger) else { return Vec::new() };
        let sequence = self.sequence.next(line.time);
        self.write_log(line, sequence, ledger)
    }

    /// The envelope of the logs that wait, if there are any.
    pub(crate) fn close_logs(&mut self) -> Option<Envelope> {
        self.logs.take()
    }

    /// Whether logs wait for others of their envelope.
    pub(crate) const fn has_logs(&self) -> bool {
        !self.logs.is_empty()
    }

    /// Counts logs that are dropped before they are packed.
    pub(crate) fn drop_logs(&self, lines: impl IntoIterator<Item = LogLine>, reason: DropReason, ledger: &Ledger) {
        lines.into_iter().for_each(|line| ledger.dropped(reason, self.size_of_log(&line)));
    }

    fn size_of_log(&self, line: &LogLine) -> Counts {
        Counts::log(LogItem::new(line, &self.sender, self.process, 0).size())
    }

    fn apply_log_hook(&self, line: LogLine, ledger: &Ledger) -> Option<LogLine> {
        if !self.rules.hooks.has_log() {
            return Some(line);
        }
        // A log that the hook drops is gone afterwards, so it is measured before.
        let counts = self.size_of_log(&line);
        let reason = match self.rules.hooks.run_log(line) {
            Hooked::Kept(line) => return Some(line),
            Hooked::Dropped => DropReason::BeforeSend,
            Hooked::Failed => DropReason::InternalSdkError,
        };
        ledger.dropped(reason, counts);
        None
    }

    /// Writes the item. The longest texts of one that is too large are cut until it fits.
    fn write_log(&mut self, mut line: LogLine, sequence: i64, ledger: &Ledger) -> Vec<Envelope> {
        let Self { sender, process, buffer, logs, .. } = self;
        let buffer = buffer.get_mut(..MAX_BYTES).unwrap_or_default();
        let mut all = Trimmed::default();
        let mut room = lengths_of_texts(&mut line).into_iter().sum::<usize>() + size_of_keys(&line.attributes);
        let mut margins = [64, 32, 16, 8, 4].into_iter();
        let (size, counts) = loop {
            let item = LogItem::new(&line, sender, *process, sequence);
            let counts = Counts::log(item.size());
            match contain("serialisation", || json::write(buffer, &item)) {
                Some(Ok(size)) if size + HEAD.len() + TAIL.len() <= MAX_BYTES => break (size, counts),
                Some(Ok(size)) if room > 0 => {
                    // As much of the texts as of the item fits. Escaping makes some texts longer than others, so the first
                    // cut may not be enough.
                    room = (room as u128 * MAX_BYTES as u128 / size.max(MAX_BYTES) as u128) as usize;
                    room -= room.div_ceil(margins.next().unwrap_or(2));
                    all += trim_log(&mut line, room);
                }
                Some(Ok(_)) => {
                    ledger.dropped(DropReason::Invalid, counts);
                    return Vec::new();
                }
                Some(Err(_)) | None => {
                    otel_warn!(name: "SentryExporter.SerializationFailed");
                    ledger.dropped(DropReason::InternalSdkError, counts);
                    return Vec::new();
                }
            }
        };
        ledger.trimmed(all);
        let log = buffer.get(..size).unwrap_or_default();
        logs.add(log, counts).into_iter().flatten().collect()
    }
}

/// Cuts a record to about `room` bytes: the longest texts first, and attributes only if their keys alone are too long.
fn trim_log(line: &mut LogLine, room: usize) -> Trimmed {
    let mut trimmed = Trimmed::default();
    let texts: usize = lengths_of_texts(line).into_iter().sum();
    let for_keys = (room / 2).max(room.saturating_sub(texts));
    let mut left = for_keys;
    trimmed += keep_keys(&mut line.attributes, &mut left);
    let longest = longest_that_fits(lengths_of_texts(line), room - (for_keys - left));
    if let Some(kept) = with_mark(&line.body, longest, &mut trimmed) {
        line.body = kept;
    }
    for text in [&mut line.target, &mut line.event_name] {
        if let Some(kept) = with_mark(text, longest, &mut trimmed) {
            *text = kept.into();
        }
    }
    for_each_text(&mut line.attributes, |text| {
        if let Some(kept) = with_mark(text.as_str(), longest, &mut trimmed) {
            *text = kept.into();
        }
    });
    trimmed
}

fn lengths_of_texts(line: &mut LogLine) -> Vec<usize> {
    let mut lengths = vec![line.body.len(), line.target.len(), line.event_name.len()];
    for_each_text(&mut line.attributes, |text| lengths.push(text.as_str().len()));
    lengths
}

pub(super) fn for_each_text(attributes: &mut [KeyValue], mut f: impl FnMut(&mut StringValue)) {
    for attribute in attributes {
        match &mut attribute.value {
            Value::String(text) => f(text),
            Value::Array(opentelemetry::Array::String(texts)) => texts.iter_mut().for_each(&mut f),
            _ => {}
        }
    }
}
