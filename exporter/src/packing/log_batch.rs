//! The logs of an envelope that is being filled.

use std::{mem, time::UNIX_EPOCH};

use serde::Serialize;

use super::envelope::{Envelope, HEAD, ItemHeader, TAIL};
use crate::{account::Counts, convert::Sdk, json, trace::LogLine};

/// The most logs of an envelope, as Sentry's specification requires.
pub(crate) const MAX_LOGS: usize = 100;

/// The most bytes of an envelope's logs, as in Sentry's SDKs, and of a log.
pub(super) const MAX_BYTES: usize = 800_000;

/// The logs of an envelope that is being filled.
#[derive(Debug, Default)]
pub(super) struct LogBatch {
    bytes: Vec<u8>,
    counts: Counts,
}

impl LogBatch {
    pub(super) const fn is_empty(&self) -> bool {
        self.counts.logs == 0
    }

    /// Whether one more log fits. An empty batch takes any.
    pub(super) fn has_room(&self, log: usize) -> bool {
        self.counts.logs == 0 || self.bytes.len() + 1 + log + TAIL.len() <= MAX_BYTES
    }

    pub(super) const fn is_full(&self) -> bool {
        self.counts.logs >= MAX_LOGS as u64
    }

    pub(super) fn add(&mut self, log: &[u8], counts: Counts) {
        self.bytes.extend_from_slice(if self.counts.logs == 0 { HEAD } else { b"," });
        self.bytes.extend_from_slice(log);
        self.counts += counts;
    }

    pub(super) fn take(&mut self) -> Option<Envelope> {
        let Self { mut bytes, counts } = mem::take(self);
        if counts.logs == 0 {
            return None;
        }
        bytes.extend_from_slice(TAIL);
        let header = ItemHeader {
            r#type: "log",
            item_count: Some(counts.logs as usize),
            length: bytes.len(),
            content_type: "application/vnd.sentry.items.log+json",
        };
        let items = [json::to_vec(&header).as_slice(), b"\n", &bytes].concat();
        // Its logs are of several traces, so it has no dynamic sampling context.
        Some(Envelope { headers: json::to_vec(&Headers { sdk: Sdk }).into(), items: items.into(), counts })
    }
}

#[derive(Serialize)]
struct Headers {
    sdk: Sdk,
}

/// Numbers logs of the same millisecond.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    millisecond: u128,
    next: i64,
}

impl Sequence {
    pub(super) fn next(&mut self, line: &LogLine) -> i64 {
        let millisecond = line.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        if self.millisecond != millisecond {
            *self = Self { millisecond, next: 0 };
        }
        let number = self.next;
        self.next += 1;
        number
    }
}
