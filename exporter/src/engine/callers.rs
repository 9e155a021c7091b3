//! The callers that wait for a flush, and what they are answered.

use std::{mem, time::Duration};

use web_time::Instant;

use super::{flush_error::FlushError, order::Waiter};
use crate::account::Ledger;

/// The most time at the end of a flush or shutdown that is left for the disk.
const MAX_DISK_TIME: Duration = Duration::from_millis(500);

/// Callers that wait.
#[derive(Debug, Default)]
pub(super) struct Callers {
    flushes: Vec<Flush>,
    /// Lost spans that an answer has reported already. Each loss is reported to one caller only.
    reported_lost: u64,
    /// The same for logs.
    reported_lost_logs: u64,
    /// The same for metrics.
    reported_lost_metrics: u64,
    /// The same for check-ins.
    reported_lost_check_ins: u64,
}

/// A caller that waits until all traces below a number have left.
#[derive(Debug)]
struct Flush {
    waiter: Waiter,
    /// The number of the first trace that became ready after the call.
    below: u64,
    /// When the waiting envelopes go to the disk. Without this reserve the caller's time would end before they are
    /// safe.
    keep_at: Instant,
    /// The envelopes have gone to the disk for this flush, which happens once.
    is_kept: bool,
}

impl Callers {
    pub(super) fn add(&mut self, waiter: Waiter, below: u64, has_spool: bool, now: Instant) {
        let keep_at = waiter.deadline - time_for_disk(waiter.deadline, has_spool, now);
        self.flushes.push(Flush { waiter, below, keep_at, is_kept: !has_spool });
    }

    /// Whether one of them waits. Those that have stopped waiting are forgotten.
    pub(super) fn are_waiting(&mut self, now: Instant) -> bool {
        self.flushes.retain(|flush| flush.waiter.deadline > now);
        !self.flushes.is_empty()
    }

    /// Whether the time of one of them is over but for what the disk needs. It is said once for each.
    pub(super) fn need_disk(&mut self, now: Instant) -> bool {
        let mut need = false;
        for flush in self.flushes.iter_mut().filter(|flush| !flush.is_kept && flush.keep_at <= now) {
            flush.is_kept = true;
            need = true;
        }
        need
    }

    /// Answers those whose traces have left: all traces below `oldest` have. `is_on_disk` says whether some of them went
    /// to the disk.
    pub(super) fn answer(&mut self, oldest: u64, is_on_disk: bool, ledger: &Ledger, now: Instant) {
        // Envelopes on disk are not delivered, so a caller waits for them too until `keep_at`.
        let is_done = |flush: &Flush| flush.below <= oldest && (!is_on_disk || flush.keep_at <= now);
        let (done, waiting): (Vec<_>, _) = mem::take(&mut self.flushes).into_iter().partition(is_done);
        self.flushes = waiting;
        if !done.is_empty() {
            let result = self.result(is_on_disk, ledger);
            done.into_iter().for_each(|flush| flush.waiter.answer(result.clone()));
        }
    }

    /// Answers all of them and the caller of a shutdown, at the end.
    pub(super) fn answer_all(&mut self, shutdown: Option<Waiter>, is_on_disk: bool, ledger: &Ledger) {
        let result = self.result(is_on_disk, ledger);
        let flushes = self.flushes.drain(..).map(|flush| flush.waiter);
        shutdown.into_iter().chain(flushes).for_each(|waiter| waiter.answer(result.clone()));
    }

    /// When one of them has to be looked at.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.flushes.iter().map(|flush| if flush.is_kept { flush.waiter.deadline } else { flush.keep_at }).min()
    }

    /// What became of everything until now. Each lost span is reported once.
    pub(super) fn result(&mut self, is_on_disk: bool, ledger: &Ledger) -> Result<(), FlushError> {
        let stats = ledger.stats();
        let new = |lost: u64, reported: &mut u64| lost.saturating_sub(mem::replace(reported, lost));
        let spans = new(stats.spans_lost(), &mut self.reported_lost);
        let logs = new(stats.logs_lost(), &mut self.reported_lost_logs);
        let metrics = new(stats.metrics_lost(), &mut self.reported_lost_metrics);
        let check_ins = new(stats.check_ins_lost(), &mut self.reported_lost_check_ins);
        match (spans, logs, metrics, check_ins) {
            (0, 0, 0, 0) => {}
            (0, 0, 0, check_ins) => return Err(FlushError::CheckInsUndelivered { check_ins }),
            (0, 0, metrics, _) => return Err(FlushError::MetricsUndelivered { metrics }),
            (0, logs, ..) => return Err(FlushError::LogsUndelivered { logs }),
            (spans, ..) => return Err(FlushError::Undelivered { spans }),
        }
        match (stats.spans_spooled, stats.logs_spooled, stats.metrics_spooled, stats.check_ins_spooled) {
            (0, 0, 0, 0) => Ok(()),
            // Another process sends them.
            _ if !is_on_disk => Ok(()),
            (0, 0, 0, check_ins) => Err(FlushError::CheckInsKeptOnDisk { check_ins }),
            (0, 0, metrics, _) => Err(FlushError::MetricsKeptOnDisk { metrics }),
            (0, logs, ..) => Err(FlushError::LogsKeptOnDisk { logs }),
            (spans, ..) => Err(FlushError::KeptOnDisk { spans }),
        }
    }
}

/// How much of the time until a deadline is left for the disk.
pub(super) fn time_for_disk(deadline: Instant, has_spool: bool, now: Instant) -> Duration {
    let time = deadline.saturating_duration_since(now);
    if has_spool { (time / 4).min(MAX_DISK_TIME) } else { Duration::ZERO }
}
