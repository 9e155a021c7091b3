//! Spans that are packed, until their memory is freed.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::trace::EndedSpan;

/// How many are freed for each span that ends: one more than comes in, so that they become fewer.
const FREED_AT_ONCE: usize = 2;

/// Spans whose memory is to be freed by the threads that have allocated it.
///
/// An allocator keeps memory by the thread that it was given to. If the worker freed a span in a flood, it and the
/// application's thread that makes the next one would wait for each other, and freeing would take longer than writing.
#[derive(Debug)]
pub(super) struct Spent {
    /// The most bytes that wait here.
    limit: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    spans: Vec<EndedSpan>,
    bytes: usize,
}

impl Spent {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, waiting: Mutex::default() }
    }

    /// Adds spans whose sizes have this sum. Without room for all, it returns them.
    pub(super) fn add(&self, mut spans: Vec<EndedSpan>, bytes: usize) -> Vec<EndedSpan> {
        let mut waiting = self.lock();
        if waiting.bytes + bytes <= self.limit {
            waiting.bytes += bytes;
            waiting.spans.append(&mut spans);
        }
        spans
    }

    /// Frees some. Returns their bytes. A thread that ends a span does not wait here for another one.
    pub(super) fn free_some(&self) -> usize {
        let mut waiting = match self.waiting.try_lock() {
            Ok(waiting) => waiting,
            Err(TryLockError::Poisoned(waiting)) => waiting.into_inner(),
            Err(TryLockError::WouldBlock) => return 0,
        };
        let rest = waiting.spans.len().saturating_sub(FREED_AT_ONCE);
        let bytes = waiting.spans.drain(rest..).map(|span| span.size()).sum();
        waiting.bytes -= bytes;
        bytes
    }

    /// Frees all. Returns their bytes.
    pub(super) fn free_all(&self) -> usize {
        std::mem::take(&mut *self.lock()).bytes
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Freeing does not panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
