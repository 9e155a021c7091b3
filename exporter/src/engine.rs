//! What both front doors share: the way to the machine, and the thread that drives it.
//!
//! ```text
//! doors ─> intake ─┐
//!          mailbox ┴> machine ─> requests, jobs for the disk
//!                        └─<─ worker: thread, clock, network, disk
//! ```

mod backpressure;
mod flush_error;
mod intake;
mod machine;
mod options;
mod order;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use opentelemetry::{Context, SpanId, TraceId};
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::{DecisionLog, RemoteTrace, SampleRand};

pub use self::flush_error::FlushError;
use self::{
    intake::Intake,
    machine::Shared,
    order::{Mailbox, Waiter},
};
pub(crate) use self::{options::EngineOptions, worker::Setup};
use crate::{
    account::{DropReason, Stats, unsampled},
    transport::{Problem, of_answer},
};

/// Takes spans from any thread, and asks the worker for what must be waited for.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Shared,
    closed: AtomicBool,
    /// Whether another sampler than Sentry's decided about a local root.
    undecided: AtomicBool,
    has_dsn: bool,
    decisions: Arc<DecisionLog>,
    worker: ThreadId,
    /// The process that the worker runs in. A fork has its memory and not its threads.
    process: u32,
}

/// Why no answer came.
enum NoAnswer {
    InTime,
    /// The worker dropped the question: it gave up on it first, or has ended.
    Ever,
}

impl Engine {
    /// Starts the worker.
    pub(crate) fn start(setup: Setup) -> io::Result<Self> {
        let decisions = Arc::clone(&setup.decisions);
        let has_dsn = setup.destinations.sentry.is_some();
        let shared = Shared {
            intake: Arc::new(Intake::new(setup.options.buffer_limit)),
            ledger: Arc::default(),
            mailbox: Arc::new(Mailbox::new()),
        };
        let worker = worker::spawn(shared.clone(), setup)?;
        Ok(Self {
            shared,
            closed: AtomicBool::new(false),
            undecided: AtomicBool::new(false),
            has_dsn,
            decisions,
            worker,
            process: process::id(),
        })
    }

    /// Notes what was decided about the trace of a local root that begins.
    pub(crate) fn started(&self, trace_id: TraceId, span_id: SpanId, cx: &Context) {
        let remote = RemoteTrace::from_context(cx);
        let incoming = remote.and_then(|remote| remote.incoming(trace_id));
        let rand = || incoming.map_or_else(|| SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        let decided = self.decisions.find(remote, trace_id).map(|decision| (decision, rand()));
        if decided.is_none() {
            self.undecided.store(true, Ordering::Relaxed);
        }
        let is_for_others = decided.as_ref().is_some_and(|(decision, _)| decision.sampled != Some(true));
        if !is_for_others {
            self.shared.intake.started(trace_id, span_id, decided);
        }
    }

    pub(crate) fn push(&self, span: SpanData) {
        self.shared.intake.push(span, &self.shared.ledger);
    }

    pub(crate) fn stats(&self) -> Stats {
        // Spans that wait are read first: those that the worker picks up meanwhile are in the ledger, too, rather than
        // in neither.
        let waiting = self.shared.intake.waiting();
        let mut stats = self.shared.ledger.stats();
        stats.pending_bytes = self.shared.intake.pending() as u64;
        stats.spans_received += waiting;
        stats.spans_pending += waiting;
        for (reason, dropped) in unsampled(self.decisions.feedback()) {
            stats.spans_received += dropped.spans;
            stats.dropped.insert(reason, dropped);
        }
        stats
    }

    /// Hands over what is known of the process. Spans that end from now on are sent with it.
    pub(crate) fn set_resource(&self, resource: Resource) {
        self.shared.mailbox.leave(Instant::now(), |orders| orders.resource = Some(resource));
    }

    /// Notes that [`started`](Self::started) is called for every local root from now on.
    pub(crate) fn expect_roots(&self) {
        self.shared.intake.expect_roots();
    }

    /// What is wrong, as far as can be seen from here.
    pub(crate) fn check(&self, timeout: Duration) -> Vec<Problem> {
        if self.is_forked() {
            return vec![Problem::Forked];
        }
        let mut problems = Vec::new();
        if self.has_dsn && self.check_thread().is_ok() && !self.closed.load(Ordering::Acquire) {
            let (reply, answer) = mpsc::channel();
            self.shared.mailbox.leave(Instant::now(), |orders| orders.checks.push(reply));
            match wait(&answer, timeout) {
                Ok(reply) => problems.extend(of_answer(reply)),
                Err(NoAnswer::InTime) => problems.extend(of_answer(Err(format!("no answer within {timeout:?}")))),
                Err(NoAnswer::Ever) => problems.push(Problem::Stopped),
            }
        }
        let stats = self.stats();
        if self.undecided.load(Ordering::Relaxed) {
            problems.push(Problem::OtherSampler);
        } else if stats.spans_received == 0 {
            problems.push(Problem::NoSpans);
        }
        problems
    }

    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.check_thread()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(FlushError::AlreadyShutdown);
        }
        let now = Instant::now();
        let (waiter, answer) = waiter(now + bounded(timeout));
        self.shared.mailbox.leave(now, |orders| orders.flushes.push(waiter));
        match wait(&answer, timeout) {
            Ok(result) => result,
            Err(NoAnswer::InTime) => Err(FlushError::Timeout(timeout)),
            Err(NoAnswer::Ever) if self.closed.load(Ordering::Acquire) => Err(FlushError::AlreadyShutdown),
            Err(NoAnswer::Ever) if self.shared.mailbox.is_closed() => Err(FlushError::Stopped),
            Err(NoAnswer::Ever) => Err(FlushError::Timeout(timeout)),
        }
    }

    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.check_thread()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(FlushError::AlreadyShutdown);
        }
        self.shared.intake.close();
        let now = Instant::now();
        // The worker gives up a little earlier, so that its own answer and count arrive in time.
        let margin = (timeout / 10).min(Duration::from_millis(50));
        let (waiter, answer) = waiter(now + bounded(timeout - margin));
        self.shared.mailbox.leave(now, |orders| orders.shutdown = Some(waiter));
        match wait(&answer, timeout) {
            Ok(result) => result,
            Err(NoAnswer::Ever) => Err(FlushError::Stopped),
            Err(NoAnswer::InTime) => {
                // The worker answers at its deadline, unless an HTTP client holds its thread.
                self.shared.intake.abandon(&self.shared.ledger);
                self.shared.ledger.settle(DropReason::Shutdown);
                Err(FlushError::Timeout(timeout))
            }
        }
    }

    /// Whether this process is a fork of the one in which the worker runs.
    pub(crate) fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    /// The worker cannot wait for itself, which only an HTTP client could ask it to; and a fork has none.
    fn check_thread(&self) -> Result<(), FlushError> {
        if thread::current().id() == self.worker {
            return Err(FlushError::OnWorkerThread);
        }
        if self.is_forked() { Err(FlushError::Forked) } else { Ok(()) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.mailbox.leave(Instant::now(), |orders| orders.is_abandoned = true);
    }
}

fn waiter(deadline: Instant) -> (Waiter, mpsc::Receiver<Result<(), FlushError>>) {
    let (reply, answer) = mpsc::channel();
    (Waiter { reply, deadline }, answer)
}

/// A timeout that a clock can express: at most a year.
fn bounded(timeout: Duration) -> Duration {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    timeout.min(YEAR)
}

fn wait<T>(answer: &mpsc::Receiver<T>, timeout: Duration) -> Result<T, NoAnswer> {
    answer.recv_timeout(timeout).map_err(|error| match error {
        RecvTimeoutError::Timeout => NoAnswer::InTime,
        RecvTimeoutError::Disconnected => NoAnswer::Ever,
    })
}
