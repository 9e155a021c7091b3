//! What the server's rate limits remove from an envelope.

use web_time::Instant;

use super::Outbox;
use crate::{
    account::{Counts, DropReason},
    transport::{queue::Queued, rate_limit::Category},
};

impl Outbox {
    /// An envelope without what is limited; `None` if that is all of it. A limit on spans alone costs a transaction the
    /// streamed spans beside it, and a limit on transactions costs all.
    pub(super) fn within_limits(&mut self, mut queued: Queued, now: Instant) -> Option<Queued> {
        if self.limits.is_limited(Category::of(queued.envelope.counts), now) {
            self.drop_envelope(queued, DropReason::RateLimitBackoff);
            return None;
        }
        if queued.envelope.counts.transactions > 0 && self.limits.is_limited(Category::Span, now) {
            if let Some((envelope, spans)) = queued.envelope.without_streamed() {
                let lost = Counts::spans(spans);
                queued.envelope = envelope;
                self.ledger.dropped(DropReason::RateLimitBackoff, lost);
                if queued.is_own {
                    self.ledger.unspooled(lost);
                }
            }
        }
        Some(queued)
    }
}

impl Category {
    /// The category whose rate limits apply to an envelope.
    pub(in crate::transport) const fn of(counts: Counts) -> Self {
        if counts.transactions > 0 {
            Self::Transaction
        } else if counts.errors > 0 {
            Self::Error
        } else if counts.spans > 0 {
            Self::Span
        } else if counts.logs > 0 {
            Self::LogItem
        } else if counts.metrics > 0 {
            Self::TraceMetric
        } else if counts.check_ins > 0 {
            Self::Monitor
        } else {
            Self::ClientReport
        }
    }
}
