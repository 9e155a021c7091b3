//! The thread that drives the machine, with a network and a disk.
//!
//! Each transaction is a request of its own, so requests must overlap, and the thread runs a tokio runtime for them.
//! Telemetry is suppressed on it: otherwise each request would create spans, which would be sent by further requests.

use std::{
    collections::HashMap,
    io, mem,
    sync::{Arc, mpsc},
    thread::{self, ThreadId},
    time::Duration,
};

use opentelemetry::{Context, otel_debug, otel_warn};
use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::{
    __shared::{forget, own_thread},
    DecisionLog,
};
use tokio::{
    runtime::{self, Runtime},
    task::{Id, JoinError, JoinSet, yield_now},
    time::sleep,
};

use super::{
    backpressure::Backpressure,
    clock::{random, read_clocks},
    machine::{Machine, Shared},
    options::EngineOptions,
};
use crate::{
    account::{Now, Reports},
    packing::{Filters, Packer},
    trace::{Gatherer, LogFilters, WaitLimits},
    transport::{Answer, DeliveryOptions, Destinations, Outbox, OutboxSetup, Spool, SpoolOptions, deliver},
};

/// How long the thread packs at a time. Requests run on this thread too, and make progress only between two turns.
const TURN: Duration = Duration::from_millis(1);

/// The same while the buffer is crowded. What waits in the buffer is lost if it overflows, while a request only comes later.
const CROWDED_TURN: Duration = Duration::from_millis(20);

/// If a trace is due within this time, the end of a local root does not wake the thread earlier.
const SOON: Duration = Duration::from_millis(100);

/// Everything that an engine needs, apart from the HTTP client. Nothing is set after the thread has started.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) packer: Packer,
    pub(crate) destinations: Arc<Destinations>,
    pub(crate) decisions: Arc<DecisionLog>,
    /// What the application ignores in a stream. A trace that leaves as a transaction is filtered by the packer.
    pub(crate) ignored: Option<Arc<Filters>>,
    pub(crate) wait: WaitLimits,
    #[cfg_attr(not(feature = "logs"), expect(dead_code, reason = "without the feature no record comes in"))]
    pub(crate) log_filters: LogFilters,
    /// Names of metrics that the application ignores.
    #[cfg(feature = "metrics")]
    pub(crate) ignored_metrics: Vec<wildmatch::WildMatch>,
    pub(crate) options: EngineOptions,
    pub(crate) delivery: DeliveryOptions,
}

/// Drives the machine.
struct Worker {
    shared: Shared,
    machine: Machine,
    client: Arc<dyn HttpClient>,
    /// The requests in flight. Each returns the number that the machine gave it, and the answer.
    requests: JoinSet<(u64, Answer)>,
    /// The number of each request, by task. A task whose client panics returns no number, and its envelope would stay
    /// in flight forever.
    numbers: HashMap<Id, u64>,
    /// `None` without a spool directory.
    spool: Option<Spool>,
}

/// Starts the thread.
///
/// # Errors
///
/// If the system cannot start another thread, or the runtime cannot be built.
pub(super) fn spawn(shared: Shared, setup: Setup, client: Arc<dyn HttpClient>) -> io::Result<ThreadId> {
    let (started, start) = mpsc::channel();
    let thread = thread::Builder::new().name("sentry-transport".to_owned()).spawn(move || {
        // Built on this thread, where it is also dropped: tokio panics if a runtime is dropped in async code.
        let runtime = suppressed_runtime();
        let error = runtime.as_ref().err().map(|error| io::Error::from(error.kind()));
        // The thread that starts this one waits for it.
        let _ = started.send(error.map_or(Ok(()), Err));
        if let Ok(runtime) = runtime {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            own_thread::mark();
            runtime.block_on(Worker::new(shared, setup, client).run());
            // A plain drop would wait for requests that hang.
            runtime.shutdown_background();
        }
    })?;
    start.recv().map_err(io::Error::other)??;
    Ok(thread.thread().id())
}

/// Builds the machine of a setup. It is separate from the thread, so that tests can drive it.
pub(super) fn machine(shared: Shared, setup: Setup, random: fastrand::Rng, now: Now) -> Machine {
    let packer = setup.packer.with_queue_limit(setup.delivery.queue_limit);
    let outbox = OutboxSetup {
        encoding: setup.delivery.encoding(setup.destinations.sentry.as_ref()),
        destinations: setup.destinations,
        ledger: Arc::clone(&shared.ledger),
        limit: setup.delivery.queue_limit,
        reports: Reports::new(Arc::clone(&shared.ledger), Arc::clone(&setup.decisions)),
        largest: packer.largest(setup.options.lifecycle),
        lifecycle: setup.options.lifecycle,
        has_spool: setup.delivery.spool_dir.is_some(),
        random,
    };
    let backpressure = setup.options.backpressure.then(|| Backpressure::new(setup.decisions, now.instant));
    let gatherer = Gatherer::new(setup.options.lifecycle, setup.wait);
    Machine::new(shared, packer, gatherer, Outbox::new(outbox), backpressure, now)
}

impl Worker {
    fn new(shared: Shared, setup: Setup, client: Arc<dyn HttpClient>) -> Self {
        let now = read_clocks();
        let spool = setup.delivery.spool_dir.clone().map(|dir| Spool::open(SpoolOptions::new(dir), now));
        let machine = machine(shared.clone(), setup, random(), now);
        Self { shared, machine, client, requests: JoinSet::new(), numbers: HashMap::new(), spool }
    }

    async fn run(mut self) {
        loop {
            let now = read_clocks();
            self.machine.step(now);
            while let Some(outgoing) = self.machine.next_request(now) {
                let client = Arc::clone(&self.client);
                let number = outgoing.id;
                let ledger = Arc::clone(&self.shared.ledger);
                let request = async move {
                    // A hook may have blocked this thread until a shutdown returned without it.
                    if ledger.is_settled() {
                        return (number, Answer::Nothing("the exporter was shut down".to_owned()));
                    }
                    (number, deliver(client.as_ref(), outgoing.request).await)
                };
                let task = self.requests.spawn(request);
                self.numbers.insert(task.id(), number);
            }
            let has_used_disk = self.use_disk();
            if self.machine.is_over() {
                otel_debug!(name: "SentryExporter.Stopped");
                return;
            }
            let is_busy = self.work() || has_used_disk;
            if is_busy {
                yield_now().await;
                self.take_answers();
            } else {
                self.wait(now).await;
            }
        }
    }

    /// Packs for one turn. Returns whether there was something to do.
    fn work(&mut self) -> bool {
        let mut now = read_clocks();
        let end = now.instant + if self.shared.intake.is_crowded() { CROWDED_TURN } else { TURN };
        let mut is_busy = false;
        while self.machine.has_work() && now.instant < end {
            is_busy = true;
            self.machine.work(now);
            now = read_clocks();
        }
        is_busy
    }

    /// Runs the job for the disk, if the machine has one. Returns whether it had.
    fn use_disk(&mut self) -> bool {
        let Some(spool) = &mut self.spool else { return false };
        let now = read_clocks();
        // After a shutdown has returned, what it counted as dropped must not be written.
        let job = if self.shared.ledger.is_settled() { None } else { self.machine.next_job(now) };
        let Some(job) = job else { return false };
        let done = job.run(spool, now);
        self.machine.job_done(done, now);
        true
    }

    /// Waits for an answer, an order, spans or the next due time.
    async fn wait(&mut self, now: Now) {
        let wake_at = self.machine.wake_at(now);
        let is_soon = self.machine.next_expiry().is_some_and(|expiry| expiry <= now.instant + SOON);
        let Self { shared, machine, requests, numbers, .. } = self;
        tokio::select! {
            Some(done) = requests.join_next_with_id() => answered(machine, numbers, done),
            () = shared.mailbox.wait_for_order() => {}
            () = shared.intake.wait_for_crowd() => machine.take_in(read_clocks()),
            () = shared.intake.wait_for_root(), if !is_soon => machine.take_in(read_clocks()),
            // The next step takes them.
            () = shared.intake.jobs.wait() => {}
            () = shared.otlp.wait() => {}
            () = shared.logs.wait() => machine.logs_arrived(read_clocks()),
            () = metrics_arrived(shared) => machine.metrics_arrived(read_clocks()),
            () = sleep(wake_at.saturating_duration_since(now.instant)) => {}
        }
        self.take_answers();
    }

    /// Hands all answers that have arrived to the machine, without waiting for more.
    fn take_answers(&mut self) {
        while let Some(done) = self.requests.try_join_next_with_id() {
            answered(&mut self.machine, &mut self.numbers, done);
        }
    }
}

/// Waits for the first instrument.
#[cfg(feature = "metrics")]
async fn metrics_arrived(shared: &Shared) {
    shared.metrics.wait().await;
}

#[cfg(not(feature = "metrics"))]
async fn metrics_arrived(_: &Shared) {
    std::future::pending::<()>().await;
}

fn answered(machine: &mut Machine, numbers: &mut HashMap<Id, u64>, done: Result<(Id, (u64, Answer)), JoinError>) {
    match done {
        Ok((id, (number, answer))) => {
            numbers.remove(&id);
            machine.answered(number, answer, read_clocks());
        }
        Err(error) => {
            otel_warn!(name: "SentryExporter.HttpClientPanicked", message = error.to_string());
            if let Some(number) = numbers.remove(&error.id()) {
                machine.answered(number, Answer::Panic, read_clocks());
            }
            match error.try_into_panic() {
                Ok(payload) => forget(payload),
                Err(error) => drop(error),
            }
        }
    }
}

/// A runtime on whose threads no span is recorded. This includes the blocking threads that an HTTP client may start.
fn suppressed_runtime() -> io::Result<Runtime> {
    let suppress = || {
        own_thread::mark();
        mem::forget(Context::enter_telemetry_suppressed_scope());
    };
    runtime::Builder::new_current_thread().enable_all().on_thread_start(suppress).build()
}
