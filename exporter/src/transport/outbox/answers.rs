//! What becomes of an envelope when the answer to its request arrives.

use std::time::Duration;

use web_time::Instant;

use super::{Check, Outbox};
use crate::{
    account::{DropReason, Now},
    transport::{
        checkup::Reply,
        in_flight::{Flight, Sent},
        queue::{Queued, pause_after},
        rate_limit::asked_pause,
        verdict::{Answer, Verdict},
    },
};

/// After this many requests without an answer, while other envelopes got answers, an envelope is dropped.
const MAX_TRIES: u32 = 8;

/// A request that hung while others got answers counts as this many. Otherwise two of these a second would take all the
/// room that there is for what hangs.
const TRIES_OF_HANGING: u32 = 3;

/// The same for Spotlight without a DSN. Here each request without an answer counts: a developer's viewer is often off.
const MAX_SPOTLIGHT_TRIES: u32 = 3;

/// How a request failed whose envelope is sent again.
struct Failure {
    /// As how many tries it counts.
    tries: u32,
    in_pause: bool,
    /// The pause that the server asks for.
    retry_after: Option<Duration>,
}

impl Outbox {
    /// Takes in the answer to a request.
    pub(crate) fn answered(&mut self, id: u64, answer: Answer, now: Now) {
        match self.in_flight.remove(id) {
            Some(Flight::Envelope(sent)) => self.account(*sent, answer, now),
            Some(Flight::Copy) => self.spotlight.answered(!matches!(answer, Answer::Status(..)), now.instant),
            Some(Flight::Check(asker)) => {
                self.check = Check::None;
                asker.answer(match answer {
                    Answer::Status(status, headers) => Ok(Reply::new(status, &headers, now.wall)),
                    Answer::Nothing(reason) => Err(reason),
                    Answer::Panic => Err("the HTTP client panicked".to_owned()),
                });
            }
            None => {}
        }
    }

    /// Counts an envelope as delivered or dropped, or queues it again.
    fn account(&mut self, sent: Sent, answer: Answer, now: Now) {
        let Sent { queued, report, encoding, in_pause, hangs } = sent;
        if matches!(answer, Answer::Status(..)) {
            self.in_flight.note_hanging(now.instant);
        }
        let are_out = self.in_flight.taking_room() > 0;
        if !are_out || matches!(answer, Answer::Status(..)) {
            self.silent_since = Some(now.instant).filter(|_| are_out);
        }
        let is_otlp = queued.envelope.otlp_form().is_some();
        let verdict = answer.verdict(encoding, is_otlp);
        if let Some(report) = report.filter(|_| verdict != Verdict::Delivered) {
            self.reports.put_back(report);
        }
        let mut retry_after = None;
        if let Answer::Status(status, headers) = &answer {
            // A proxy answers for a server that is away. If that ended the link's pause, requests of an OTLP exporter would be
            // sent all at once, and reports in between would use up their tries.
            let is_away =
                verdict == Verdict::Later || (queued.envelope.items.is_empty() && (502..=504).contains(status));
            if !is_away && self.link.answered() {
                self.queue.end_pauses();
                self.disk.iter_mut().for_each(|disk| disk.look_at(now.instant));
            }
            self.limits.update(*status, headers, now.instant, now.wall);
            retry_after = asked_pause(headers, now.wall);
        }
        match verdict {
            Verdict::Delivered => {
                let counts = queued.envelope.counts;
                self.gone(queued);
                self.ledger.sent(counts);
            }
            Verdict::Dropped(reason) => self.drop_envelope(queued, reason),
            Verdict::InGzip => {
                self.compressor.fall_back();
                self.queue.push_front(queued);
            }
            Verdict::Later => {
                let tries = if hangs { TRIES_OF_HANGING } else { 1 };
                let failure = Failure { tries, in_pause, retry_after };
                self.again(queued, failure, now.instant);
            }
        }
    }

    /// Queues an envelope that got no answer again, or drops it after [`MAX_TRIES`].
    fn again(&mut self, mut queued: Queued, failure: Failure, now: Instant) {
        let Failure { tries, in_pause, retry_after } = failure;
        let era = self.link.era();
        // Other envelopes got answers since this one failed last, so the link works.
        let is_own_fault = queued.blamed_in.is_some_and(|blamed| blamed != era);
        let to_spotlight = self.destinations.sentry.is_none();
        if (is_own_fault && !self.is_hurried) || to_spotlight {
            queued.tries += tries;
        }
        let jitter = self.random.f64();
        self.link.failed(queued.blamed_in.is_some(), in_pause, now, jitter);
        queued.blamed_in = Some(era);
        let max_tries = if to_spotlight { MAX_SPOTLIGHT_TRIES } else { MAX_TRIES };
        if queued.tries >= max_tries {
            return self.drop_envelope(queued, DropReason::NetworkError);
        }
        if queued.envelope.items.is_empty() {
            // It only carried a report, which was put back.
            return;
        }
        let retry_after = retry_after.filter(|_| !self.is_hurried);
        if self.link.is_away() {
            // The link's pause applies to all envelopes. A pause of its own would only delay this one.
            retry_after.into_iter().for_each(|asked| self.link.wait_until(now + asked));
            return self.queue.push(queued);
        }
        let pause = pause_after(queued.failures, jitter);
        queued.failures += 1;
        let pause =
            if self.is_hurried { pause.min(Duration::from_millis(50 << queued.failures.min(4))) } else { pause };
        self.queue.pause(queued, now + retry_after.map_or(pause, |asked| asked.max(pause)));
    }

    pub(super) fn drop_envelope(&mut self, queued: Queued, reason: DropReason) {
        let counts = queued.envelope.counts;
        self.gone(queued);
        self.ledger.dropped(reason, counts);
    }

    /// Notes that an envelope was delivered or dropped.
    fn gone(&mut self, queued: Queued) {
        if let (Some(disk), Some(record)) = (&mut self.disk, queued.record) {
            disk.remove(record);
        }
        if queued.is_own {
            self.ledger.unspooled(queued.envelope.counts);
        }
        self.left.extend(queued.number);
    }
}
