//! How a trace walks through packing, piece by piece, and when all of it has left.

use super::{Machine, Ready, Shared};
use crate::{
    account::Now,
    engine::phase::Phase,
    packing::{Packed, Part},
    trace::EndedSpan,
};

impl Machine {
    /// Lines up what is ready to be packed.
    pub(super) fn number(&mut self, ready: Ready) {
        self.pieces.insert(self.next_number, 1);
        self.ready.push_back((self.next_number, ready));
        self.next_number += 1;
    }

    /// Whether [`work`](Self::work) can do something now. While the queue is full, traces wait.
    pub(in crate::engine) fn has_work(&self) -> bool {
        match self.phase {
            Phase::Running | Phase::Closing { .. } | Phase::Reporting { .. } => {
                self.has_ready() && !self.is_queue_full()
            }
            Phase::GivingUp { .. } => self.has_ready() && self.outbox.has_spool(),
            Phase::Stopped => false,
        }
    }

    /// Whether something waits to be packed.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || self.check_ins.has_ready()
    }

    /// Packs one piece: prepares a trace, or makes an envelope of a part.
    pub(in crate::engine) fn work(&mut self, now: Now) {
        if let Some((number, check_in)) = self.check_ins.next(!self.ready.is_empty()) {
            return self.work_on_check_in(number, &check_in, now);
        }
        let Some((number, ready)) = self.ready.pop_front() else { return };
        let Shared { intake, ledger, .. } = &self.shared;
        match ready {
            Ready::Trace(trace) => {
                let before = trace.size();
                let prepared = self.packer.prepare(trace, ledger);
                let after: usize = prepared.parts.iter().map(Part::size).sum();
                intake.release(before - after);
                let parts = prepared.parts.into_iter().map(Ready::Part);
                self.pieces(number, parts.chain(prepared.envelopes.into_iter().map(Ready::Envelope)));
            }
            Ready::Part(part) => {
                let size = part.size();
                match self.packer.pack(part, ledger) {
                    Packed::Parts(parts) => return self.pieces(number, parts.into_iter().map(Ready::Part)),
                    Packed::Envelope(envelope) => self.outbox.push(number, envelope, now),
                    Packed::Envelopes(all) => self.pieces(number, all.into_iter().map(Ready::Envelope)),
                    Packed::Nothing => self.piece_left(number),
                }
                self.free(size);
            }
            Ready::Bucket(bucket) => {
                let size = bucket.size();
                let envelopes = self.packer.pack_bucket(bucket, ledger);
                self.free(size);
                self.pieces(number, envelopes.into_iter().map(Ready::Envelope));
            }
            Ready::Logs(lines) => self.work_on_logs(number, lines, now),
            #[cfg(feature = "metrics")]
            Ready::Metrics(walk) => self.work_on_metrics(number, walk),
            Ready::Otlp(envelope) => {
                self.shared.otlp.release(envelope.size());
                self.outbox.push(number, envelope, now);
            }
            Ready::Envelope(envelope) => self.outbox.push(number, envelope, now),
        }
        self.set_logs_due(now);
    }

    /// Frees the spans that were packed last, and returns the bytes of those that are gone already.
    fn free(&mut self, all: usize) {
        let spent = self.packer.take_spent();
        let bytes = spent.iter().map(EndedSpan::size).sum();
        self.shared.intake.release(all - bytes);
        self.shared.intake.free(spent, bytes);
    }

    /// Replaces one piece of a trace by several, which are packed next.
    pub(super) fn pieces(&mut self, number: u64, pieces: impl Iterator<Item = Ready>) {
        let pieces: Vec<_> = pieces.collect();
        *self.pieces.entry(number).or_default() += pieces.len();
        // At the front: the parts of a trace take the memory of the whole until they are packed.
        pieces.into_iter().rev().for_each(|piece| self.ready.push_front((number, piece)));
        self.piece_left(number);
    }

    pub(super) fn pieces_left(&mut self) {
        self.outbox.take_left().into_iter().for_each(|number| self.piece_left(number));
    }

    /// Notes that a piece of this trace was delivered, dropped or kept on disk.
    pub(super) fn piece_left(&mut self, number: u64) {
        if let Some(pieces) = self.pieces.get_mut(&number) {
            *pieces -= 1;
            if *pieces == 0 {
                self.pieces.remove(&number);
                self.check_ins.left(number);
            }
        }
    }
}
