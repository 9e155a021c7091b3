//! The items of an envelope that is being filled: logs or metrics.

use std::{
    mem,
    time::{SystemTime, UNIX_EPOCH},
};

use super::envelope::{Envelope, HEAD, ItemHeader, TAIL};
use crate::account::Counts;

/// The most logs of an envelope, as Sentry's specification requires.
pub(crate) const MAX_LOGS: usize = 100;

/// The most bytes of an envelope's logs or metrics, as in Sentry's SDKs, and of one of them.
pub(super) const MAX_BYTES: usize = 800_000;

/// What the items of a batch are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BatchKind {
    item_type: &'static str,
    content_type: &'static str,
    /// The most items of an envelope.
    most: usize,
}

pub(super) const LOGS: BatchKind =
    BatchKind { item_type: "log", content_type: "application/vnd.sentry.items.log+json", most: MAX_LOGS };

/// Sentry's SDKs for JavaScript and Python send as many metrics in an envelope.
#[cfg(feature = "metrics")]
pub(super) const METRICS: BatchKind =
    BatchKind { item_type: "trace_metric", content_type: "application/vnd.sentry.items.trace-metric+json", most: 1000 };

/// The items of an envelope that is being filled.
#[derive(Debug)]
pub(super) struct Batch {
    kind: &'static BatchKind,
    bytes: Vec<u8>,
    items: usize,
    counts: Counts,
}

impl Batch {
    pub(super) const fn new(kind: &'static BatchKind) -> Self {
        Self { kind, bytes: Vec::new(), items: 0, counts: Counts::NOTHING }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Adds an item. Returns the envelopes that are full, before it and with it. An empty batch takes any item.
    pub(super) fn add(&mut self, item: &[u8], counts: Counts) -> [Option<Envelope>; 2] {
        let has_room = self.items == 0 || self.bytes.len() + 1 + item.len() + TAIL.len() <= MAX_BYTES;
        let before = if has_room { None } else { self.take() };
        self.bytes.extend_from_slice(if self.items == 0 { HEAD } else { b"," });
        self.bytes.extend_from_slice(item);
        self.items += 1;
        self.counts += counts;
        let with = if self.items >= self.kind.most { self.take() } else { None };
        [before, with]
    }

    pub(super) fn take(&mut self) -> Option<Envelope> {
        let Self { kind, mut bytes, items, counts } = mem::replace(self, Self::new(self.kind));
        if items == 0 {
            return None;
        }
        bytes.extend_from_slice(TAIL);
        let header = ItemHeader {
            r#type: kind.item_type,
            item_count: Some(items),
            length: bytes.len(),
            content_type: kind.content_type,
        };
        Some(Envelope::without_event(&header, &bytes, counts))
    }
}

/// Numbers logs and metrics of the same millisecond.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    millisecond: u128,
    next: i64,
}

impl Sequence {
    pub(super) fn next(&mut self, time: SystemTime) -> i64 {
        let millisecond = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        if self.millisecond != millisecond {
            *self = Self { millisecond, next: 0 };
        }
        let number = self.next;
        self.next += 1;
        number
    }
}
