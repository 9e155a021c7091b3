//! Check-ins of cron monitors on their way through the machine.

use std::mem;

use super::{super::intake::received, Machine};
use crate::{
    account::{Counts, DropReason, Now},
    convert::CheckIn,
    trace::EndedSpan,
};

impl Machine {
    /// Lines up the check-ins that wait in the intake.
    pub(super) fn take_in_check_ins(&mut self) {
        self.shared.intake.jobs.take().into_iter().for_each(|check_in| self.line_up_check_in(check_in));
    }

    /// Lines up the check-ins of the spans that were picked up. A start reaches the intake before its end does, so what
    /// waits there goes first.
    pub(super) fn check_in_all(&mut self) {
        self.take_in_check_ins();
        let mut inbox = mem::take(&mut self.inbox);
        for span in &mut inbox {
            span.index();
            // One with a broken id is dropped.
            if span.span_context.is_valid() {
                self.check_in_of(span);
            }
        }
        self.inbox = inbox;
    }

    fn check_in_of(&mut self, span: &EndedSpan) {
        let check_in = CheckIn::ended(span, span.attributes());
        let check_in = check_in.and_then(|check_in| received(check_in, &self.shared.ledger));
        check_in.into_iter().for_each(|check_in| self.line_up_check_in(check_in));
    }

    fn line_up_check_in(&mut self, check_in: CheckIn) {
        let number = self.next_number;
        if !self.check_ins.add(number, check_in) {
            return self.shared.ledger.dropped(DropReason::QueueOverflow, Counts::CHECK_IN);
        }
        self.next_number += 1;
        // From here on a flush waits for it, also while it is held back.
        self.pieces.insert(number, 1);
    }

    /// Makes the envelope of a check-in.
    pub(super) fn work_on_check_in(&mut self, number: u64, check_in: &CheckIn, now: Now) {
        match self.packer.pack_check_in(check_in, &self.shared.ledger) {
            Some(envelope) => self.outbox.push(number, envelope, now),
            None => self.piece_left(number),
        }
    }
}
