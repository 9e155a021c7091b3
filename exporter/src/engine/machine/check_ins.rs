//! Check-ins of cron monitors on their way through the machine.

use super::Machine;
use crate::{
    account::{Counts, DropReason, Now},
    convert::CheckIn,
};

impl Machine {
    /// Lines up the check-ins that wait in the intake.
    pub(super) fn take_in_check_ins(&mut self) {
        self.shared.intake.jobs.take().into_iter().for_each(|check_in| self.line_up_check_in(check_in));
    }

    pub(super) fn line_up_check_in(&mut self, check_in: CheckIn) {
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
