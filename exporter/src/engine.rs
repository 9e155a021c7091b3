//! What both front doors share: the way to the worker.

mod backpressure;
mod intake;
mod worker;

use std::{
    error::Error,
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use opentelemetry::{Context, TraceId};
use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::{DecisionLog, RemoteTrace, SampleRand};
use tokio::sync::mpsc::{Sender, channel, error::TrySendError};

pub(crate) use self::worker::Setup;
use self::{intake::Intake, worker::Worker};
use crate::{
    account::{DropReason, Ledger, Stats, unsampled},
    transport::{Problem, Reply, of_answer},
};

/// Orders that may wait for the worker.
const MAX_ORDERS: usize = 1024;

/// Takes spans from any thread, and asks the worker for what must be waited for.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Shared,
    orders: Sender<Order>,
    closed: AtomicBool,
    /// Whether another sampler than Sentry's decided about a local root.
    undecided: AtomicBool,
    has_dsn: bool,
    decisions: Arc<DecisionLog>,
    worker: ThreadId,
}

/// What callers and the worker both touch.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) intake: Arc<Intake>,
    pub(crate) ledger: Arc<Ledger>,
}

/// What the worker is asked to do besides its work.
#[derive(Debug)]
pub(crate) enum Order {
    SetResource(Resource),
    /// Ask the server whether it would take something.
    Ask(mpsc::Sender<Result<Reply, String>>),
    /// Wait so long for late spans.
    SetGrace(Duration),
    /// Send everything that has ended, and answer when it has left; after the deadline nobody waits any more.
    Flush(mpsc::Sender<Result<(), FlushError>>, Instant),
    /// The same, and then no more; answer at the deadline at the latest.
    Shutdown(mpsc::Sender<Result<(), FlushError>>, Instant),
}

impl Engine {
    /// Starts the worker; so many bytes of ended spans may wait for it.
    pub(crate) fn start(buffer_limit: usize, setup: Setup) -> io::Result<Self> {
        let decisions = Arc::clone(&setup.decisions);
        let has_dsn = setup.destinations.sentry.is_some();
        let shared = Shared { intake: Arc::new(Intake::new(buffer_limit)), ledger: Arc::default() };
        let (orders, inbox) = channel(MAX_ORDERS);
        let worker = Worker::spawn(shared.clone(), inbox, setup)?;
        let (closed, undecided) = Default::default();
        Ok(Self { shared, orders, closed, undecided, has_dsn, decisions, worker })
    }

    /// Notes what was decided about the trace of a local root that begins.
    pub(crate) fn started(&self, trace_id: TraceId, cx: &Context) {
        let remote = RemoteTrace::from_context(cx);
        let incoming = remote.and_then(|remote| remote.incoming(trace_id));
        let rand = || incoming.map_or_else(|| SampleRand::from_trace_id(trace_id), |incoming| incoming.sample_rand);
        let decided = self.decisions.find(remote, trace_id).map(|decision| (decision, rand()));
        if decided.is_none() {
            self.undecided.store(true, Ordering::Relaxed);
        }
        let is_for_others = decided.as_ref().is_some_and(|(decision, _)| decision.sampled != Some(true));
        if !is_for_others {
            self.shared.intake.started(trace_id, decided);
        }
    }

    pub(crate) fn push(&self, span: SpanData) {
        self.shared.intake.push(span, &self.shared.ledger);
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.shared.ledger.stats();
        stats.pending_bytes = self.shared.intake.pending() as u64;
        for (reason, dropped) in unsampled(self.decisions.feedback()) {
            stats.spans_received += dropped.spans;
            stats.dropped.insert(reason, dropped);
        }
        stats
    }

    pub(crate) fn set_resource(&self, resource: Resource) {
        self.order(Order::SetResource(resource));
    }

    /// From now on [`started`](Self::started) is called for every local root.
    pub(crate) fn expect_roots(&self) {
        self.shared.intake.expect_roots();
    }

    /// What is wrong, as far as can be seen from here.
    pub(crate) fn check(&self, timeout: Duration) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.has_dsn && self.check_thread().is_ok() && !self.closed.load(Ordering::Acquire) {
            let (reply, answer) = mpsc::channel();
            self.order(Order::Ask(reply));
            let answer = answer.recv_timeout(timeout);
            problems.extend(of_answer(answer.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")))));
        }
        let stats = self.stats();
        if self.undecided.load(Ordering::Relaxed) {
            problems.push(Problem::OtherSampler);
        } else if stats.spans_received == 0 {
            problems.push(Problem::NoSpans);
        }
        problems
    }

    pub(crate) fn set_grace(&self, grace: Duration) {
        self.order(Order::SetGrace(grace));
    }

    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(FlushError::AlreadyShutdown);
        }
        self.check_thread()?;
        let (reply, answer) = mpsc::channel();
        if !self.order(Order::Flush(reply, deadline(timeout))) {
            return Err(FlushError::Timeout(timeout));
        }
        match wait(&answer, timeout) {
            // The worker gave up on it first.
            Err(FlushError::AlreadyShutdown) if !self.closed.load(Ordering::Acquire) => {
                Err(FlushError::Timeout(timeout))
            }
            result => result,
        }
    }

    pub(crate) fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.check_thread()?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(FlushError::AlreadyShutdown);
        }
        self.shared.intake.close();
        let (reply, answer) = mpsc::channel();
        // The worker gives up a little earlier, so that its own answer and count arrive in time.
        let margin = (timeout / 10).min(Duration::from_millis(50));
        self.order(Order::Shutdown(reply, deadline(timeout - margin)));
        let result = wait(&answer, timeout);
        if matches!(result, Err(FlushError::Timeout(_))) {
            // The worker answers at its deadline, unless an HTTP client holds its thread.
            self.shared.ledger.received(self.shared.intake.abandon());
            self.shared.ledger.settle(DropReason::Shutdown);
        }
        result
    }

    /// The worker cannot wait for itself; only an HTTP client could ask it to.
    fn check_thread(&self) -> Result<(), FlushError> {
        let is_worker = thread::current().id() == self.worker;
        if is_worker { Err(FlushError::OnWorkerThread) } else { Ok(()) }
    }

    /// Whether the worker will see it: not if it is hopelessly behind. After a shutdown there is nothing left to ask for.
    fn order(&self, order: Order) -> bool {
        !matches!(self.orders.try_send(order), Err(TrySendError::Full(_)))
    }
}

/// A timeout that no clock can express ends in a year.
fn deadline(timeout: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + timeout.min(YEAR)
}

fn wait(answer: &mpsc::Receiver<Result<(), FlushError>>, timeout: Duration) -> Result<(), FlushError> {
    answer.recv_timeout(timeout).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => Err(FlushError::Timeout(timeout)),
        RecvTimeoutError::Disconnected => Err(FlushError::AlreadyShutdown),
    })
}

/// Not everything was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlushError {
    /// There was a shutdown before.
    AlreadyShutdown,
    /// It was called by the HTTP client, on the thread that would have to do it.
    OnWorkerThread,
    /// It was not done within this time. After a flush the work goes on; after a shutdown what was left is counted as
    /// dropped.
    Timeout(Duration),
    /// So many spans could not be delivered since the last flush; [`Stats`] says why.
    Undelivered {
        /// The number of spans.
        spans: u64,
    },
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyShutdown => f.write_str("there was a shutdown before"),
            Self::OnWorkerThread => f.write_str("the exporter's own thread cannot wait for itself"),
            Self::Timeout(timeout) => write!(f, "not everything was delivered within {timeout:?}"),
            Self::Undelivered { spans } => write!(f, "not everything could be delivered; spans lost: {spans}"),
        }
    }
}

impl Error for FlushError {}
