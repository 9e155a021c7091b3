//! The one thread: it assembles, converts and sends.
//!
//! It has a tokio runtime of its own, as one transaction is one request and the time that an answer takes must not
//! limit how many leave. Telemetry is suppressed on it, so that sending spans makes none.

use std::{
    collections::{BTreeMap, VecDeque},
    future, io, mem,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use opentelemetry::{Context, TraceId, otel_debug};
use opentelemetry_http::HttpClient;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::{__shared::own_thread, DecisionLog};
use opentelemetry_sentry_semantics::semconv;
use tokio::{
    runtime::{self, Runtime},
    sync::mpsc::Receiver,
    task::yield_now,
    time::sleep_until,
};

use super::{FlushError, Order, Shared, backpressure::Backpressure};
use crate::{
    account::{DropReason, Load, Reports},
    packing::Packer,
    trace::{Assembler, Now, Patience, Trace, size_of_span},
    transport::{Destinations, Encoding, Limits, Outbox, OutboxSetup, Spool},
};

/// Traces that are serialised at a time, before requests and orders get their turn again.
const SLICE: usize = 32;

/// The same while many wait: as JSON they take less room.
const LARGE_SLICE: usize = 256;

/// How often spans are picked up that end under a root which is still open, so that their waiting time runs.
const TICK: Duration = Duration::from_secs(5);

/// What will be picked up so soon wakes nobody before.
const SOON: Duration = Duration::from_millis(100);

/// Spans for which room is kept from one time to the next.
const MAX_ROOM: usize = 4096;

/// How long the last envelopes have when the application forgot to shut us down.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// How long what is left at a shutdown may take on its way to the disk.
const LAST_WRITES: Duration = Duration::from_millis(30);

/// What the worker is set up with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) packer: Packer,
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) destinations: Arc<Destinations>,
    pub(crate) decisions: Arc<DecisionLog>,
    pub(crate) patience: Patience,
    /// Bytes of serialised envelopes that may wait.
    pub(crate) queue_limit: usize,
    pub(crate) encoding: Encoding,
    /// Where envelopes are kept that could not be delivered.
    pub(crate) spool_dir: Option<PathBuf>,
    /// Whether the sample rate follows what the server can take.
    pub(crate) backpressure: bool,
}

/// Assembles, converts and sends, until it is told to stop.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Shared,
    orders: Receiver<Order>,
    packer: Packer,
    assembler: Assembler,
    outbox: Outbox,
    /// What was picked up last, kept for its room.
    inbox: Vec<SpanData>,
    doomed: Vec<TraceId>,
    /// Traces that wait to be serialised, by number.
    ready: VecDeque<(u64, Trace)>,
    next_number: u64,
    /// How many pieces (trace or envelopes) of each trace have not left yet, by number.
    outstanding: BTreeMap<u64, usize>,
    flushes: Vec<Flush>,
    /// Spans that were lost and that the answer to a flush has told of.
    told_lost: u64,
    backpressure: Option<Backpressure>,
    /// Whether the last losses were sent. Once is enough: a server that refuses everything refuses them, too.
    is_told: bool,
    /// Once set, nothing new is taken in, and all is over at this time.
    deadline: Option<Instant>,
}

/// Somebody waits until all traces below a number have left, or until the deadline.
#[derive(Debug)]
struct Flush {
    reply: mpsc::Sender<Result<(), FlushError>>,
    below: u64,
    deadline: Instant,
}

impl Worker {
    fn new(shared: Shared, orders: Receiver<Order>, setup: Setup) -> Self {
        let now = Instant::now();
        let reports = Reports::new(Arc::clone(&shared.ledger), Arc::clone(&setup.decisions));
        let outbox = OutboxSetup {
            client: setup.client,
            destinations: setup.destinations,
            ledger: Arc::clone(&shared.ledger),
            limit: setup.queue_limit,
            encoding: setup.encoding,
            reports,
            spool: setup.spool_dir.map(|dir| Spool::open(dir, Limits::default())),
        };
        Self {
            shared,
            orders,
            packer: setup.packer,
            assembler: Assembler::new(setup.patience),
            outbox: Outbox::new(outbox, now),
            inbox: Vec::new(),
            doomed: Vec::new(),
            ready: VecDeque::new(),
            next_number: 0,
            outstanding: BTreeMap::new(),
            flushes: Vec::new(),
            told_lost: 0,
            backpressure: setup.backpressure.then(|| Backpressure::new(setup.decisions, now)),
            is_told: false,
            deadline: None,
        }
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has no thread, or nothing to wait on, left to give.
    pub(crate) fn spawn(shared: Shared, orders: Receiver<Order>, setup: Setup) -> io::Result<ThreadId> {
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new().name("sentry-transport".to_owned()).spawn(move || {
            // Made here: a runtime must not be dropped where the application runs async code.
            let runtime = suppressed_runtime();
            let error = runtime.as_ref().err().map(|error| io::Error::from(error.kind()));
            // Whoever starts us waits for this.
            let _ = started.send(error.map_or(Ok(()), Err));
            if let Ok(runtime) = runtime {
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                own_thread::mark();
                runtime.block_on(Self::new(shared, orders, setup).run());
            }
        })?;
        start.recv().map_err(io::Error::other)??;
        Ok(thread.thread().id())
    }

    async fn run(mut self) {
        loop {
            let now = Instant::now();
            self.serialise_some(now);
            // Whoever waits would rather know now than be sent later.
            let is_hurried = !self.flushes.is_empty() || self.deadline.is_some();
            self.outbox.start(now, is_hurried);
            if let Some(backpressure) = &mut self.backpressure {
                backpressure.check_up(now, || self.outbox.is_unhealthy(now));
            }
            // Requests run on this thread, too: they get their turn however much pours in.
            yield_now().await;
            self.pieces_left();
            // Whoever shuts down is answered at the end, when the last losses are told, too.
            if self.deadline.is_none() {
                self.answer_flushes();
            }
            if self.is_over(now) {
                otel_debug!(name: "SentryExporter.Stopped");
                return self.keep_rest();
            }
            let wake_at = self.wake_at(now);
            // Those that end meanwhile are picked up with those that wait for them.
            let is_soon = self.assembler.next_expiry().is_some_and(|expiry| expiry <= now + SOON);
            let is_open = self.deadline.is_none();
            tokio::select! {
                biased;
                order = self.orders.recv(), if is_open => self.obey(order),
                Some(done) = self.outbox.answered() => self.outbox.account(done, Instant::now()),
                () = self.shared.intake.crowded(), if is_open => self.take_in(),
                () = self.shared.intake.root_ended(), if is_open && !is_soon => self.take_in(),
                () = sleep_until(wake_at.into()) => self.take_in(),
                () = future::ready(()), if !self.ready.is_empty() && !self.outbox.is_full() => {}
            }
        }
    }

    /// Whether the shutdown is done, or its time over.
    fn is_over(&mut self, now: Instant) -> bool {
        let Some(deadline) = self.deadline else { return false };
        let is_told = &mut self.is_told;
        if self.outstanding.is_empty() && self.outbox.is_empty() && !mem::replace(is_told, true) {
            self.outbox.send_losses(now);
        }
        now >= deadline || (self.outstanding.is_empty() && self.outbox.is_empty())
    }

    fn obey(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Ask(reply)) => self.outbox.ask(reply),
            Some(Order::SetGrace(grace)) => self.assembler.set_grace(grace),
            Some(Order::SetResource(resource)) => self.packer.set_resource(&resource),
            Some(Order::Flush(reply, deadline)) => self.flush(reply, deadline),
            Some(Order::Shutdown(reply, deadline)) => {
                self.deadline = Some(deadline);
                self.outbox.close();
                // The answer goes out even if it comes too late for the work.
                self.flush(reply, deadline + LAST_CHANCE);
            }
            // Nobody is left who could send us spans.
            None => {
                self.shared.intake.close();
                self.outbox.close();
                self.deadline = Some(Instant::now() + LAST_CHANCE);
                self.take_in_all();
            }
        }
    }

    /// Picks up what ended, and lines up what is ready.
    fn take_in(&mut self) {
        let Self { shared, assembler, inbox, doomed, .. } = self;
        let now = Now { time: Instant::now(), is_over: &|trace_id| shared.intake.is_over(trace_id) };
        shared.intake.drain(inbox, doomed);
        inbox.retain(|span| is_ours(shared, span));
        let ready = assembler.push(inbox.drain(..), now);
        inbox.shrink_to(MAX_ROOM);
        for trace_id in doomed.drain(..) {
            let (load, spans) = assembler.discard(trace_id);
            shared.intake.release(spans.iter().map(size_of_span).sum());
            shared.ledger.dropped(DropReason::BufferOverflow, load);
        }
        self.line_up(ready);
        while self.shared.intake.is_crowded() && self.ready.len() < LARGE_SLICE && !self.assembler.is_empty() {
            let oldest = self.assembler.drain_oldest();
            self.line_up(oldest);
        }
    }

    fn take_in_all(&mut self) {
        self.take_in();
        let rest = self.assembler.drain();
        self.line_up(rest);
    }

    fn flush(&mut self, reply: mpsc::Sender<Result<(), FlushError>>, deadline: Instant) {
        self.take_in_all();
        self.flushes.push(Flush { reply, below: self.next_number, deadline });
    }

    fn line_up(&mut self, traces: Vec<Trace>) {
        for mut trace in traces {
            if trace.head.is_none() {
                let trace_id = trace.spans.first().map(|span| span.span_context.trace_id());
                trace.head = trace_id.and_then(|trace_id| self.shared.intake.head(trace_id)).map(Arc::new);
            }
            self.outstanding.insert(self.next_number, 1);
            self.ready.push_back((self.next_number, trace));
            self.next_number += 1;
        }
    }

    /// Serialises what is ready, a slice at a time, for as long as the queue has room.
    fn serialise_some(&mut self, now: Instant) {
        let slice = if self.ready.len() >= LARGE_SLICE { LARGE_SLICE } else { SLICE };
        for _ in 0..slice {
            if self.outbox.is_full() || !self.serialise_one(now) {
                break;
            }
        }
        self.shared.intake.set_stuck(self.outbox.is_full());
        // What crowds the intake may wait for nothing but this.
        if self.ready.is_empty() && self.shared.intake.is_crowded() && self.deadline.is_none() {
            self.take_in();
        }
    }

    fn serialise_one(&mut self, now: Instant) -> bool {
        let Some((number, trace)) = self.ready.pop_front() else { return false };
        self.shared.intake.release(trace.spans.iter().map(size_of_span).sum());
        let Self { packer, shared, outbox, outstanding, .. } = self;
        packer.pack(trace, &shared.ledger, &mut |envelope| {
            *outstanding.entry(number).or_default() += 1;
            outbox.push(number, envelope, now);
        });
        self.piece_left(number);
        true
    }

    /// What is left at the end goes to the disk, if there is one for it.
    fn keep_rest(&mut self) {
        let start = Instant::now();
        while self.outbox.has_spool() && start.elapsed() < LAST_WRITES && self.serialise_one(start) {}
        self.outbox.give_up(DropReason::Shutdown);
        self.pieces_left();
    }

    fn pieces_left(&mut self) {
        self.outbox.take_left().into_iter().for_each(|number| self.piece_left(number));
    }

    /// A piece of this trace waits no longer, whatever became of it.
    fn piece_left(&mut self, number: u64) {
        if let Some(pieces) = self.outstanding.get_mut(&number) {
            *pieces -= 1;
            if *pieces == 0 {
                self.outstanding.remove(&number);
            }
        }
    }

    fn answer_flushes(&mut self) {
        if self.flushes.is_empty() {
            return;
        }
        let oldest = self.outstanding.keys().next().copied().unwrap_or(self.next_number);
        let now = Instant::now();
        self.flushes.retain(|flush| flush.deadline > now);
        let (done, waiting): (Vec<_>, _) =
            mem::take(&mut self.flushes).into_iter().partition(|flush| flush.below <= oldest);
        self.flushes = waiting;
        if done.is_empty() {
            return;
        }
        let lost = self.shared.ledger.stats().spans_lost();
        let result = match lost - mem::replace(&mut self.told_lost, lost) {
            0 => Ok(()),
            spans => Err(FlushError::Undelivered { spans }),
        };
        for flush in done {
            // Whoever asked may have stopped waiting.
            let _ = flush.reply.send(result.clone());
        }
    }

    fn wake_at(&mut self, now: Instant) -> Instant {
        let check_up = self.backpressure.as_ref().map(Backpressure::due);
        let expiry = self.assembler.next_expiry();
        let all = [self.deadline, expiry, self.outbox.wake_at(now), check_up];
        all.into_iter().flatten().fold(now + TICK, Instant::min)
    }
}

impl Drop for Worker {
    /// The end, by a shutdown or by a panic: counts what did not leave, and tells those who wait.
    fn drop(&mut self) {
        self.shared.intake.close();
        let reason = if thread::panicking() { DropReason::InternalSdkError } else { DropReason::Shutdown };
        let unseen = self.shared.intake.abandon();
        let ledger = &self.shared.ledger;
        ledger.received(unseen);
        ledger.dropped(reason, Load::spans(unseen + self.assembler.len()));
        for (_, trace) in self.ready.drain(..) {
            ledger.dropped(reason, Load::transaction(trace.spans.len()));
        }
        self.outbox.give_up(reason);
        // Whatever a panic tore out of our hands.
        ledger.dropped(reason, Load::spans(usize::try_from(ledger.stats().spans_pending).unwrap_or(usize::MAX)));
        self.outstanding.clear();
        self.answer_flushes();
    }
}

/// Whether a span is for Sentry, and whole. Counts it if it is for Sentry.
fn is_ours(shared: &Shared, span: &SpanData) -> bool {
    let is_for_others = span.attributes.iter().any(|attribute| attribute.key.as_str() == semconv::NOT_SAMPLED);
    if !is_for_others {
        shared.ledger.received(1);
        if span.span_context.is_valid() {
            return true;
        }
        // A broken id generator: one such span would make Sentry refuse its whole transaction.
        shared.ledger.dropped(DropReason::Invalid, Load::spans(1));
    }
    shared.intake.release(size_of_span(span));
    false
}

/// A runtime on whose threads no span is recorded, also not on those that an HTTP client makes it start.
fn suppressed_runtime() -> io::Result<Runtime> {
    let suppress = || {
        own_thread::mark();
        mem::forget(Context::enter_telemetry_suppressed_scope());
    };
    runtime::Builder::new_current_thread().enable_all().on_thread_start(suppress).build()
}
