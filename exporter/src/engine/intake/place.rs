//! Where a span goes in the intake.

use std::sync::MutexGuard;

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::Notify;

use super::{shard::Shard, starts::Started};
use crate::trace::EndedSpan;

/// A place for one span, under the lock of its shard.
///
/// The span is lent to get the place, and moved once the place is known: each call that it is moved through would copy
/// its hundreds of bytes.
#[must_use]
pub(crate) struct Place<'a> {
    pub(super) shard: MutexGuard<'a, Shard>,
    pub(super) size: usize,
    /// What is known of it since its start, in a stream.
    pub(super) started: Option<Started>,
    pub(super) is_ignored: bool,
    /// What wakes the worker, if it is to be woken.
    pub(super) wakes: Option<&'a Notify>,
}

impl Place<'_> {
    /// Leaves the span to the worker.
    #[inline]
    pub(crate) fn fill(self, span: SpanData) {
        let Self { mut shard, size, started, is_ignored, wakes } = self;
        shard.spans.push(EndedSpan::measured(span, size, is_ignored));
        if let Some((started, span)) = started.zip(shard.spans.last_mut()) {
            started.complete(span);
        }
        drop(shard);
        if let Some(wakes) = wakes {
            wakes.notify_one();
        }
    }
}
