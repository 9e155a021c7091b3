//! Makes error events: of the exceptions in spans, and of those in log records.
//!
//! One failure is often recorded twice, by a span and by a record. A record comes first, and a span knows more: its place,
//! the user and the request. So an error of a record waits a few seconds for the span.

use std::{sync::Arc, time::Duration};

use opentelemetry::SpanId;
use opentelemetry_sentry_protocol::DynamicSamplingContext;
use uuid::fmt::Simple;
use web_time::Instant;

use super::{
    contain::contain,
    envelope::{Envelope, Item},
    hook::{Hooked, Hooks},
    packer::{Packer, failed, written},
    trim::trim,
};
use crate::{
    account::{Counts, DropReason, Ledger, Trimmed},
    convert::{Breadcrumb, EventContext, Exception, ExceptionEvent, RecordError, random_id},
    trace::{EndedSpan, LogLine, Trace, known_or_minimal},
};

/// The most error events of one trace. A trace with more of them repeats the same failure.
const MAX_ERRORS: usize = 100;

/// How long an error of a record waits for the span that reports it too: most requests end earlier.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The most errors of records that wait. Beyond it the oldest leave early.
const MAX_WAITING: usize = 200;

/// The most bytes of these errors. A record can have a megabyte.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// What an error event needs beside its exception.
struct Surroundings<'a> {
    spans: &'a [EndedSpan],
    context: EventContext<'a>,
    dsc: Option<DynamicSamplingContext>,
}

impl Packer {
    /// Makes the envelopes of the exceptions in a trace.
    pub(super) fn pack_errors(&mut self, trace: &Trace, ledger: &Ledger) -> Vec<Envelope> {
        let (times, records): (Vec<_>, Vec<_>) = std::mem::take(&mut self.records).into_iter().unzip();
        let mut used = Vec::new();
        let mut found = self.exceptions.find(&trace.spans, &records, |place| used.push(place));
        let all = found.len();
        found.retain(|exception| !self.rules.ignores(exception));
        ledger.dropped(DropReason::Ignored, Counts::errors(all - found.len()));
        ledger.dropped(DropReason::BufferOverflow, Counts::errors(found.len().saturating_sub(MAX_ERRORS)));
        found.truncate(MAX_ERRORS);
        let surroundings = Surroundings {
            spans: &trace.spans,
            context: EventContext::of(&trace.spans),
            dsc: trace.dsc(&self.sender.service),
        };
        let envelopes = found.iter().filter_map(|one| self.pack_error(one, &surroundings, ledger)).collect();
        let left = times.into_iter().zip(records).enumerate().filter(|(place, _)| !used.contains(place));
        self.records = left.map(|(_, record)| record).collect();
        envelopes
    }

    /// Notes the line for the errors after it, and its own exception. Returns the envelopes of older ones for which there is
    /// no room any more.
    pub(super) fn note_line(&mut self, line: &mut LogLine, now: Instant, ledger: &Ledger) -> Vec<Envelope> {
        if !self.rules.exceptions_as_errors {
            return Vec::new();
        }
        let new_id = || {
            let [id @ .., _, _, _, _, _, _, _, _] = *random_id().as_bytes();
            SpanId::from_bytes(id)
        };
        let record = RecordError::of(line, self.process, new_id).map(|mut record| {
            record.breadcrumbs = self.trails.before(record.trace_id(), f64::INFINITY, None);
            (now, record)
        });
        self.leave_trail(line);
        let Some(record) = record else { return Vec::new() };
        self.records.push(record);
        let mut bytes: usize = self.records.iter().map(|(_, record)| record.size()).sum();
        let mut envelopes = Vec::new();
        while self.records.len() > MAX_WAITING || bytes > MAX_WAITING_BYTES {
            let (_, oldest) = self.records.remove(0);
            bytes -= oldest.size();
            envelopes.extend(self.pack_record(&oldest, ledger));
        }
        envelopes
    }

    /// Notes a line for the errors after it.
    pub(super) fn leave_trail(&mut self, line: &LogLine) {
        if self.rules.exceptions_as_errors {
            self.trails.add(line.trace_id.unwrap_or(self.process), Breadcrumb::of(line));
        }
    }

    /// When the next error of a record leaves, if no span reports it before.
    pub(crate) fn next_error_due(&self) -> Option<Instant> {
        self.records.first().map(|(at, _)| *at + MAX_WAIT)
    }

    /// The errors of records that have waited long enough, or all of them.
    pub(crate) fn due_errors(&mut self, now: Option<Instant>, ledger: &Ledger) -> Vec<Envelope> {
        let is_due = |(at, _): &&(Instant, RecordError)| now.is_none_or(|now| *at + MAX_WAIT <= now);
        let count = self.records.iter().take_while(is_due).count();
        let due: Vec<_> = self.records.drain(..count).collect();
        due.iter().filter_map(|(_, record)| self.pack_record(record, ledger)).collect()
    }

    /// Removes the errors of records that wait, and returns their number.
    pub(crate) fn drop_errors(&mut self) -> usize {
        self.records.drain(..).count()
    }

    fn pack_record(&mut self, record: &RecordError, ledger: &Ledger) -> Option<Envelope> {
        let exception = self.exceptions.find_in_record(record)?;
        if self.rules.ignores(&exception) {
            ledger.dropped(DropReason::Ignored, Counts::ERROR);
            return None;
        }
        let service = &self.sender.service;
        let known = record.context.as_deref().and_then(|context| context.dsc(service, record.trace_id()));
        let unknown = || {
            let dsc = known_or_minimal(None, service, record.trace_id());
            if record.is_sampled == Some(false) { dsc.with("sampled", "false") } else { dsc }
        };
        let surroundings = Surroundings {
            spans: &[],
            context: EventContext::of_record(record.transaction()),
            dsc: Some(known.unwrap_or_else(unknown)),
        };
        self.pack_error(&exception, &surroundings, ledger)
    }

    fn pack_error(
        &mut self,
        exception: &Exception<'_>,
        surroundings: &Surroundings<'_>,
        ledger: &Ledger,
    ) -> Option<Envelope> {
        let Surroundings { spans, context, dsc } = surroundings;
        let breadcrumbs: Vec<Arc<Breadcrumb>> = match exception.breadcrumbs() {
            [] => self.trails.before(exception.trace_id(), exception.timestamp(), exception.line()),
            known => known.to_vec(),
        };
        let id = random_id().simple();
        let mut event_id = [0; Simple::LENGTH];
        let event = ExceptionEvent {
            event_id: id.encode_lower(&mut event_id),
            sender: &self.sender,
            exception,
            spans,
            context,
            breadcrumbs: &breadcrumbs,
        };
        let written = match write_error(&mut self.buffer, &event, &self.rules.hooks) {
            Err(DropReason::Invalid) => write_trimmed(&mut self.buffer, &event, &self.rules.hooks, ledger),
            written => written,
        };
        match written {
            Ok(size) => {
                let payload = self.buffer.get(..size).unwrap_or_default();
                let item = Item { r#type: "event", payload, counts: Counts::ERROR };
                return Some(Envelope::new(id, dsc.as_ref(), &item));
            }
            Err(DropReason::InternalSdkError) => failed(ledger, Counts::ERROR),
            Err(reason) => ledger.dropped(reason, Counts::ERROR),
        }
        None
    }
}

/// Writes an event that is too large: cuts its longest texts until it fits.
fn write_trimmed(
    buffer: &mut [u8],
    event: &ExceptionEvent<'_>,
    hooks: &Hooks,
    ledger: &Ledger,
) -> Result<usize, DropReason> {
    let mut span = event.exception.copy_of_span();
    let mut trimmed = Trimmed::default();
    let mut room = buffer.len();
    while room > 0 {
        // Escaping makes a text longer, so the first cut may not be enough.
        room /= 2;
        trimmed += trim(span.data_mut(), room);
        span.index();
        let Some(exception) = event.exception.of_copy(&span) else { break };
        match write_error(buffer, &ExceptionEvent { exception: &exception, ..*event }, hooks) {
            Err(DropReason::Invalid) => {}
            written => {
                ledger.trimmed(trimmed);
                return written;
            }
        }
    }
    Err(DropReason::Invalid)
}

/// Writes an error event into the buffer, as the hook returns it. Returns its size, or why it is not sent.
fn write_error(buffer: &mut [u8], event: &ExceptionEvent<'_>, hooks: &Hooks) -> Result<usize, DropReason> {
    if !hooks.has_error() {
        return contain("serialisation", || written(buffer, event)).unwrap_or(Err(DropReason::InternalSdkError));
    }
    let event = contain("serialisation", || serde_json::to_value(event));
    match event.and_then(Result::ok).map(|event| hooks.run_error(event)) {
        Some(Hooked::Kept(event)) => written(buffer, &event),
        Some(Hooked::Dropped) => Err(DropReason::BeforeSend),
        Some(Hooked::Failed) | None => Err(DropReason::InternalSdkError),
    }
}
