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
