//! How does a span get from the thread that ends it to the network? Both doors hand it to this room.
//!
//! ```text
//! doors ─> intake ─┐
//!          mailbox ┴> machine ─> requests, jobs for the disk
//!                        └─<─ worker: thread, clock, network, disk
//! ```
//!
//! | file, in the order of the walk | contains |
//! | --- | --- |
//! | `intake` | the spans that the application's threads have ended |
//! | `logs`, `lines`, `records` | the same for log records |
//! | `metrics` | what instruments have measured |
//! | `exports`, `otlp` | what OTLP exporters have written |
//! | `order` | the mailbox: flush, shutdown, check and resource, from callers to the worker |
//! | `held` | check-ins of cron jobs that wait to be packed, and ends that wait for their start |
//! | `machine`, `phase` | all state between an ended span and its delivery, without thread, clock, socket and disk; how far a shutdown has come |
//! | `ready` | what waits to be packed |
//! | `callers` | the callers that wait for a flush |
//! | `backpressure` | halves the sample rate while the server does not keep up |
//! | `worker` | the thread that drives the machine |
//! | `driven` | the machine without a thread, for an application that drives it |
//! | `clock` | the time and the randomness of both drivers |
//! | `options`, `flush_error` | settings, and the answer of a flush |

mod backpressure;
mod callers;
mod clock;
mod driven;
mod exports;
mod flush_error;
mod held;
mod intake;
mod lines;
mod logs;
mod machine;
#[cfg(feature = "metrics")]
mod metrics;
mod options;
mod order;
mod otlp;
mod phase;
mod ready;
#[cfg(feature = "logs")]
mod records;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use opentelemetry::{Context, SpanId, TraceId};
use opentelemetry_http::HttpClient;
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::{__shared::Databases, DecisionLog, RemoteTrace, SampleRand};
use tokio::sync::oneshot;
use web_time::Instant;

#[cfg(feature = "metrics")]
pub(crate) use self::metrics::{Instrument, MetricStore, NumberType, Observe, Role, Sink, Wanted, info};
use self::{
    clock::random,
    intake::{Intake, Place},
    logs::LogIntake,
    machine::Shared,
    order::{Mailbox, Reply, Waiter},
    otlp::OtlpInbox,
};
pub(crate) use self::{clock::read_clocks, driven::Driven, options::EngineOptions, worker::Setup};
pub use self::{driven::Take, flush_error::FlushError};
#[cfg(feature = "logs")]
use crate::trace::LogFilters;
use crate::{
    account::{DropReason, Ledger, Stats, unsampled},
    packing::Filters,
    transport::{Asker, Destination, Problem, of_answer, of_arrivals},
};

/// The callers' side: takes spans from any thread, and leaves orders for the worker.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Shared,
    /// A shutdown was called. The second caller gets an error at once and does not wait for the first one's answer.
    closed: AtomicBool,
    /// How many tracer providers use it: the end of one must not cost the others their spans.
    providers: AtomicUsize,
    /// Another sampler than Sentry's decided about a local root. `check` reports it.
    undecided: AtomicBool,
    /// The server that `check` asks; `None` without a DSN.
    server: Option<String>,
    /// Counts what the sampler decided against. Without it `stats` would not include unsampled traces.
    decisions: Arc<DecisionLog>,
    /// What the application ignores in a stream; `None` if it ignores nothing.
    ignored: Option<Arc<Filters>>,
    /// A flush that the HTTP client calls on this thread would wait for itself forever, so it gets an error. `None` if the
    /// application drives the engine, and calls cannot wait for anything.
    worker: Option<ThreadId>,
    /// The process that the worker runs in. A forked child has this memory but no worker, so its flush would wait until
    /// the timeout.
    process: u32,
    /// The log records that the application ignores.
    #[cfg(feature = "logs")]
    log_filters: LogFilters,
    /// Exceptions become error events, so a record with one needs the context of its trace.
    #[cfg(feature = "logs")]
    makes_errors: bool,
}

/// Why a caller got no answer.
enum NoAnswer {
    /// The caller's time is over.
    InTime,
    /// The worker dropped the caller's sender: the caller's deadline had passed, or the worker has ended.
    Ever,
}

impl Engine {
    /// Starts the worker.
    ///
    /// # Errors
    ///
    /// If the system cannot start another thread.
    pub(crate) fn start(setup: Setup, client: Arc<dyn HttpClient>) -> io::Result<Self> {
        let (mut engine, worker) = Self::around(setup, |shared, setup| worker::spawn(shared, setup, client));
        engine.worker = Some(worker?);
        Ok(engine)
    }

    /// Makes an engine without a thread, and what the application drives.
    pub(crate) fn driven(setup: Setup) -> (Self, Driven) {
        let drive = |shared, setup| Driven::new(worker::machine(shared, setup, random(), read_clocks()));
        Self::around(setup, drive)
    }

    /// Makes the callers' side, and the other side from what both share.
    fn around<T>(setup: Setup, start: impl FnOnce(Shared, Setup) -> T) -> (Self, T) {
        let ledger: Arc<Ledger> = Arc::default();
        let shared = Shared {
            intake: Arc::new(Intake::new(setup.options.buffer_limit).with_lifecycle(setup.options.lifecycle)),
            logs: Arc::new(LogIntake::new(setup.options.log_limit)),
            otlp: Arc::new(OtlpInbox::new(setup.delivery.queue_limit)),
            #[cfg(feature = "metrics")]
            metrics: Arc::new(MetricStore::new(
                Arc::clone(&ledger),
                setup.ignored_metrics.clone(),
                opentelemetry::time::now,
                random().u64(..),
            )),
            ledger,
            mailbox: Arc::new(Mailbox::new()),
        };
        let engine = Self {
            shared: shared.clone(),
            closed: AtomicBool::new(false),
            providers: AtomicUsize::new(0),
            undecided: AtomicBool::new(false),
            server: setup.destinations.sentry.as_ref().map(Destination::host),
            decisions: Arc::clone(&setup.decisions),
            ignored: setup.ignored.clone(),
            worker: None,
            process: process_id(),
            #[cfg(feature = "logs")]
            log_filters: setup.log_filters.clone(),
            #[cfg(feature = "logs")]
            makes_errors: setup.packer.makes_errors(),
        };
        (engine, start(shared, setup))
    }

    /// Whether each start of a span is to be noted.
    pub(crate) fn is_stream(&self) -> bool {
        self.shared.intake.is_stream()
    }

    /// Where spans of databases are noted.
    pub(crate) fn databases(&self) -> &Databases {
        self.decisions.databases()
    }

    /// Notes that a span of a stream begins, which has a parent in this process.
    pub(crate) fn child_started(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
        parent: SpanId,
        read: impl FnOnce() -> Option<SpanData>,
    ) {
        // Reading a span copies it, so it is read only if there are filters.
        let is_ignored = self.ignored.is_some() && read().is_some_and(|span| self.ignores(&span));
        let ancestor = self.shared.intake.child_started(trace_id, span_id, parent, is_ignored);
        if let Some(streaming) = self.decisions.streaming().filter(|_| is_ignored) {
            streaming.note_ancestor(span_id, ancestor);
        }
    }

    fn ignores(&self, span: &SpanData) -> bool {
        let SpanData { name, span_kind, attributes, .. } = span;
        self.ignored.as_ref().is_some_and(|ignored| ignored.match_start(name, span_kind, attributes))
    }

    /// Notes how a local root begins, for the streamed spans below it.
    pub(crate) fn segment_started(&self, trace_id: TraceId, span_id: SpanId, read: impl FnOnce() -> Option<SpanData>) {
        if !self.is_stream() {
            return;
        }
        if let Some(span) = read() {
            let is_ignored = self.ignores(&span);
            self.shared.intake.segment_started(trace_id, span_id, span, is_ignored);
        }
    }

    /// Checks in for a span that starts, if it is a job of a cron monitor. Returns whether it is.
    pub(crate) fn job_started(&self, span: &SpanData) -> bool {
        let Shared { intake, ledger, .. } = &self.shared;
        intake.jobs.started(span, ledger)
    }

    /// Whether another sampler than Sentry's has decided about a local root.
    pub(crate) fn has_other_sampler(&self) -> bool {
        self.undecided.load(Ordering::Relaxed)
    }

    /// Notes what was decided about the trace of a local root that begins. Returns whether it is for Sentry.
    pub(crate) fn started(&self, trace_id: TraceId, span_id: SpanId, cx: &Context) -> bool {
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
        !is_for_others
    }

    /// Measures a span. Returns a place for it, unless it is dropped.
    pub(crate) fn place(&self, span: &mut SpanData) -> Option<Place<'_>> {
        let Shared { intake, ledger, .. } = &self.shared;
        // Without our span processor a span is seen only now.
        let is_ignored = !intake.knows_roots() && self.ignores(span);
        intake.place(span, is_ignored, ledger)
    }

    pub(crate) fn stats(&self) -> Stats {
        let Shared { intake, logs, otlp, ledger, .. } = &self.shared;
        let (logs_waiting, (waiting, mut stats)) =
            logs.read_with_waiting(|| intake.read_with_waiting(|| ledger.stats()));
        stats.logs_received += logs_waiting;
        stats.logs_pending += logs_waiting;
        stats.pending_bytes = (intake.pending() + otlp.bytes()) as u64;
        stats.spans_received += waiting;
        stats.spans_pending += waiting;
        for (reason, dropped) in unsampled(&self.decisions) {
            stats.spans_received += dropped.spans;
            *stats.dropped.entry(reason).or_default() += dropped;
        }
        stats
    }

    /// Hands over the provider's resource. Spans that end from now on are sent with it.
    pub(crate) fn set_resource(&self, resource: Resource) {
        self.shared.mailbox.leave(Instant::now(), |orders| orders.resource = Some(resource));
    }

    /// Notes that [`started`](Self::started) is called for every local root from now on.
    pub(crate) fn expect_roots(&self) {
        self.shared.intake.expect_roots();
    }

    /// Returns the problems that this process can see. Asks the server, and waits for its answer for up to `timeout`.
    pub(crate) fn check(&self, timeout: Duration) -> Vec<Problem> {
        if self.is_forked() {
            return vec![Problem::Forked];
        }
        if self.closed.load(Ordering::Acquire) {
            return vec![Problem::ShutDown];
        }
        let mut problems = match &self.server {
            Some(host) if self.worker.is_some() && self.check_thread().is_ok() => self.ask(host, timeout),
            _ => Vec::new(),
        };
        if self.has_other_sampler() {
            problems.push(Problem::OtherSampler);
        } else if self.stats().spans_received == 0 {
            problems.push(Problem::NoSpans);
        }
        problems.extend(of_arrivals(self.decisions.arrivals()));
        problems
    }

    /// Asks the server whether it accepts the DSN.
    fn ask(&self, host: &str, timeout: Duration) -> Vec<Problem> {
        let (asker, answer) = Asker::new();
        self.shared.mailbox.leave(Instant::now(), |orders| orders.add_check(asker));
        match wait(&answer, timeout) {
            Ok(reply) => of_answer(host, reply),
            Err(NoAnswer::InTime) => of_answer(host, Err(format!("no answer within {timeout:?}"))),
            Err(NoAnswer::Ever) => vec![Problem::Stopped],
        }
    }

    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if !self.has_worker()? {
            return self.all_delivered();
        }
        let now = Instant::now();
        let (waiter, answer) = waiter(now + bounded(timeout));
        self.shared.mailbox.leave(now, |orders| orders.flushes.push(waiter));
        match wait(&answer, timeout) {
            Ok(result) => result,
            Err(NoAnswer::InTime) => Err(FlushError::Timeout(timeout)),
            Err(NoAnswer::Ever) => Err(self.why_no_answer(timeout)),
        }
    }

    /// Flushes what has ended and leaves what is below an open local root. It blocks no thread.
    pub(crate) async fn flush_ended(&self, timeout: Duration) -> Result<(), FlushError> {
        if !self.has_worker()? {
            return self.all_delivered();
        }
        let now = Instant::now();
        let (caller, answer) = oneshot::channel();
        let waiter = Waiter { reply: Reply::ToFuture(caller), leaves_open: true, deadline: now + bounded(timeout) };
        self.shared.mailbox.leave(now, |orders| orders.flushes.push(waiter));
        answer.await.unwrap_or_else(|_| Err(self.why_no_answer(timeout)))
    }

    /// Whether there is a worker that flushes. An error if this thread may not wait for it, or after a shutdown.
    fn has_worker(&self) -> Result<bool, FlushError> {
        self.check_thread()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(FlushError::AlreadyShutdown);
        }
        Ok(self.worker.is_some())
    }

    /// Why the worker has dropped a flush without an answer.
    fn why_no_answer(&self, timeout: Duration) -> FlushError {
        if self.closed.load(Ordering::Acquire) {
            FlushError::AlreadyShutdown
        } else if self.shared.mailbox.is_closed() {
            FlushError::Stopped
        } else {
            FlushError::Timeout(timeout)
        }
    }

    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.check_thread()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(FlushError::AlreadyShutdown);
        }
        self.shared.intake.close(DropReason::Shutdown);
        self.shared.logs.close(DropReason::Shutdown);
        self.shared.otlp.close(DropReason::Shutdown);
        #[cfg(feature = "metrics")]
        self.shared.metrics.close(DropReason::Shutdown);
        if self.worker.is_none() {
            return self.all_delivered();
        }
        let now = Instant::now();
        // The worker's deadline is a little earlier than the caller's, so that its answer arrives in time.
        // It counts full buffers in this time.
        let margin = (timeout / 10).min(Duration::from_millis(200));
        let (waiter, answer) = waiter(now + bounded(timeout - margin));
        self.shared.mailbox.leave(now, |orders| orders.shutdown = Some(waiter));
        match wait(&answer, timeout) {
            Ok(result) => result,
            Err(NoAnswer::Ever) => Err(FlushError::Stopped),
            Err(NoAnswer::InTime) => {
                // The worker always answers at its deadline, so a blocking HTTP client holds its thread. The caller
                // counts the spans as dropped itself, because the process may end before the worker could.
                self.shared.intake.abandon(&self.shared.ledger);
                self.shared.logs.drain(&self.shared.ledger);
                #[cfg(feature = "metrics")]
                self.shared.metrics.drain(|measured| self.shared.ledger.metrics_received(measured.values.len() as u64));
                self.shared.ledger.settle();
                Err(FlushError::Timeout(timeout))
            }
        }
    }

    /// Whether nothing waits, for an engine without a thread: a call cannot wait for the application, which delivers.
    fn all_delivered(&self) -> Result<(), FlushError> {
        let Stats { spans_pending, logs_pending, metrics_pending, check_ins_pending, .. } = self.stats();
        #[cfg(feature = "metrics")]
        let is_measured = !self.shared.metrics.is_empty();
        #[cfg(not(feature = "metrics"))]
        let is_measured = false;
        if is_measured || spans_pending + logs_pending + metrics_pending + check_ins_pending > 0 {
            Err(FlushError::Waiting)
        } else {
            Ok(())
        }
    }

    /// The instruments, which do not keep the engine alive.
    #[cfg(feature = "metrics")]
    pub(crate) fn metrics(&self) -> &Arc<MetricStore> {
        &self.shared.metrics
    }

    /// Notes that one more tracer provider uses it.
    pub(crate) fn join(&self) {
        self.providers.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that a tracer provider has ended; returns whether it was the last one.
    pub(crate) fn leave(&self) -> bool {
        self.providers.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether this process is a fork of the one in which the worker runs.
    pub(crate) fn is_forked(&self) -> bool {
        process_id() != self.process
    }

    /// Refuses a call that could never be answered: on the worker's own thread (only an HTTP client can make one), and
    /// in a forked child.
    fn check_thread(&self) -> Result<(), FlushError> {
        if Some(thread::current().id()) == self.worker {
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

/// The number of this process; zero where there are no processes, and asking for one panics.
fn process_id() -> u32 {
    if cfg!(target_family = "wasm") { 0 } else { process::id() }
}

fn waiter(deadline: Instant) -> (Waiter, mpsc::Receiver<Result<(), FlushError>>) {
    let (reply, answer) = mpsc::channel();
    (Waiter { reply: Reply::ToThread(reply), leaves_open: false, deadline }, answer)
}

/// Limits a timeout to a year. Adding `Duration::MAX` to an `Instant` would panic.
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
