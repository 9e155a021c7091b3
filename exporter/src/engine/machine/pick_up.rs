//! How ended spans come from the intake, and what is ready to be packed.

use std::{sync::Arc, time::Duration};

use super::{
    super::{intake::received, lines::Then},
    Machine, PICK_UP_EVERY, Ready, Shared,
};
use crate::{
    account::{Counts, DropReason, Now},
    convert::CheckIn,
    trace::{Gathered, PickUp, Trace},
};

/// How long a trace waits for late spans under our own span processor, unless the application sets another time. Other
/// processors hand over spans in batches, so late spans are in the batch of their root.
const GRACE: Duration = Duration::from_millis(50);

/// To relieve the buffer, traces are sent without their root until this many are ready to be packed. As JSON they take
/// less memory.
const MANY_READY: usize = 256;

/// About this many spans are picked up at a time, and then packed. What is packed takes half of the memory, while what is
/// only picked up takes as much as before, and the time for it.
const PORTION: usize = 4096;

impl Machine {
    /// Picks up the spans that ended, and lines up the traces that are ready. Of very many spans, it takes a portion.
    pub(in crate::engine) fn take_in(&mut self, now: Now) {
        self.pick_up(PORTION, now);
    }

    /// Picks up about this many spans.
    pub(super) fn pick_up(&mut self, most: usize, now: Now) {
        let begins = !self.has_more || most == usize::MAX;
        if begins {
            self.round_began = now.instant;
        }
        let since = self.seen_until;
        self.take_in_lines_of_errors();
        self.has_more = !self.shared.intake.drain(most, &mut self.picked, &self.shared.ledger);
        if !self.has_more {
            self.seen_until = self.round_began;
            self.next_pick_up = self.round_began + PICK_UP_EVERY;
        }
        // A start reaches the intake before its end does, so what waits there goes before the ends of the spans.
        self.take_in_check_ins();
        let Self { shared, gatherer, picked, .. } = self;
        let Shared { intake, ledger, .. } = shared;
        let grace = if intake.knows_roots() { GRACE } else { Duration::ZERO };
        let pick_up = PickUp { now: now.instant, since, grace };
        let (mut ready, mut check_ins) = (Vec::new(), Vec::new());
        picked.each(|mut span, following| {
            if span.span_context.is_valid() {
                span.index();
                let check_in = CheckIn::ended(&span, span.attributes());
                check_ins.extend(check_in.and_then(|check_in| received(check_in, ledger)));
                ready.extend(gatherer.push(span, following, pick_up));
            } else {
                // The application has a broken id generator. Sentry refuses a transaction that contains such a span.
                intake.release(span.size());
                ledger.dropped(DropReason::Invalid, Counts::spans(1));
            }
        });
        for trace_id in picked.dropped.drain(..) {
            self.crowded_at = Some(now.instant);
            let (counts, bytes) = gatherer.discard(trace_id);
            intake.release(bytes);
            ledger.dropped(DropReason::BufferOverflow, counts);
        }
        ready.extend(gatherer.expire(self.seen_until, &**intake));
        check_ins.into_iter().for_each(|check_in| self.line_up_check_in(check_in));
        self.line_up(ready);
        // Otherwise traces whose root is in the intake would leave without it.
        let is_whole = begins && !self.has_more;
        while is_whole && self.shared.intake.is_crowded() && self.ready.len() < MANY_READY && !self.gatherer.is_empty()
        {
            let oldest = self.gatherer.drain_oldest(&*self.shared.intake);
            self.line_up(oldest);
        }
    }

    /// Lines up everything, also spans whose local root is still open.
    pub(in crate::engine) fn take_in_all(&mut self, now: Now) {
        self.pick_up(usize::MAX, now);
        let rest = self.gatherer.drain(&*self.shared.intake);
        self.line_up(rest);
        self.take_in_logs(Then::Everything);
        self.take_in_metrics(now);
        self.take_in_otlp();
    }

    pub(super) fn line_up(&mut self, gathered: Vec<Gathered>) {
        for gathered in gathered {
            let ready = match gathered {
                Gathered::Trace(trace) => Ready::Trace(self.with_context(trace)),
                Gathered::Bucket(bucket) => Ready::Bucket(bucket),
            };
            self.number(ready);
        }
    }

    /// A trace that leaves before its root has no context by itself.
    fn with_context(&self, mut trace: Trace) -> Trace {
        if trace.context.is_none() {
            let trace_id = trace.spans.first().map(|span| span.span_context.trace_id());
            trace.context = trace_id.and_then(|trace_id| self.shared.intake.context(trace_id)).map(Arc::new);
        }
        trace
    }
}
