//! The one thread: it assembles, converts and sends.
//!
//! It has a tokio runtime of its own and several requests in flight, as one transaction is one request and the time
//! that an answer takes must not limit how many leave. Telemetry is suppressed on it, so that sending spans makes
//! none.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future, io, mem,
    sync::{Arc, mpsc},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use opentelemetry::{Context, TraceId, otel_debug, otel_warn};
use opentelemetry_http::HttpClient;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_protocol::semconv;
use tokio::{
    runtime::{self, Runtime},
    sync::mpsc::UnboundedReceiver,
    task::{Id, JoinError, JoinSet, yield_now},
    time::sleep_until,
};

use super::{Destinations, delivery::deliver};
use crate::{
    FlushError,
    assembler::{Assembler, Now, Patience, Trace},
    engine::{Order, Shared},
    envelope::{Envelope, MAX_TRANSACTION},
    intake::size_of_span,
    loss::{DropReason, Load},
    packing::Packer,
};

/// Requests that wait for their answer at the same time.
const MAX_IN_FLIGHT: usize = 16;

/// Traces that are serialised at a time, before requests and orders get their turn again.
const SLICE: usize = 32;

/// How often spans are picked up that end under a root which is still open, so that their waiting time runs.
const TICK: Duration = Duration::from_secs(5);

/// What will be picked up so soon wakes nobody before.
const SOON: Duration = Duration::from_millis(100);

/// Spans for which room is kept from one time to the next.
const MAX_ROOM: usize = 4096;

/// How long the last envelopes have when the application forgot to shut us down.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Assembles, converts and sends, until it is told to stop.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Shared,
    orders: UnboundedReceiver<Order>,
    packer: Packer,
    client: Arc<dyn HttpClient>,
    destinations: Arc<Destinations>,
    queue_limit: usize,
    assembler: Assembler,
    /// What was picked up last, kept for its room.
    inbox: Vec<SpanData>,
    doomed: Vec<TraceId>,
    /// Traces that wait to be serialised, by number.
    ready: VecDeque<(u64, Trace)>,
    /// Envelopes that wait for a free request, by the number of their trace.
    queue: VecDeque<(u64, Envelope)>,
    queued_bytes: usize,
    next_number: u64,
    requests: JoinSet<Result<(), DropReason>>,
    in_flight: HashMap<Id, Sent>,
    /// How many pieces (trace or envelopes) of each trace have not left yet, by number.
    outstanding: BTreeMap<u64, usize>,
    flushes: Vec<Flush>,
    /// Spans that were lost and that the answer to a flush has told of.
    told_lost: u64,
    /// Once set, nothing new is taken in, and all is over at this time.
    deadline: Option<Instant>,
}

/// What the worker is set up with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) packer: Packer,
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) destinations: Arc<Destinations>,
    pub(crate) patience: Patience,
    /// Bytes of serialised envelopes that may wait.
    pub(crate) queue_limit: usize,
}

/// An envelope that waits for its answer.
#[derive(Debug)]
struct Sent {
    number: u64,
    load: Load,
}

/// Somebody waits until all traces below a number have left, or until the deadline.
#[derive(Debug)]
struct Flush {
    reply: mpsc::Sender<Result<(), FlushError>>,
    below: u64,
    deadline: Instant,
}

impl Worker {
    fn new(shared: Shared, orders: UnboundedReceiver<Order>, setup: Setup) -> Self {
        let Setup { packer, client, destinations, patience, queue_limit } = setup;
        Self {
            shared,
            orders,
            packer,
            client,
            destinations,
            queue_limit,
            assembler: Assembler::new(patience),
            inbox: Vec::new(),
            doomed: Vec::new(),
            ready: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            next_number: 0,
            requests: JoinSet::new(),
            in_flight: HashMap::new(),
            outstanding: BTreeMap::new(),
            flushes: Vec::new(),
            told_lost: 0,
            deadline: None,
        }
    }

    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has no thread, or nothing to wait on, left to give.
    pub(crate) fn spawn(shared: Shared, orders: UnboundedReceiver<Order>, setup: Setup) -> io::Result<ThreadId> {
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new().name("sentry-transport".to_owned()).spawn(move || {
            // Made here: a runtime must not be dropped where the application runs async code.
            let runtime = suppressed_runtime();
            let error = runtime.as_ref().err().map(|error| io::Error::from(error.kind()));
            // Whoever starts us waits for this.
            let _ = started.send(error.map_or(Ok(()), Err));
            if let Ok(runtime) = runtime {
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                runtime.block_on(Self::new(shared, orders, setup).run());
            }
        })?;
        start.recv().map_err(io::Error::other)??;
        Ok(thread.thread().id())
    }

    async fn run(mut self) {
        loop {
            self.serialise_some();
            self.start_requests();
            // Requests run on this thread, too: they get their turn however much pours in.
            yield_now().await;
            self.answer_flushes();
            let over = self.deadline.is_some_and(|deadline| self.outstanding.is_empty() || Instant::now() >= deadline);
            if over {
                otel_debug!(name: "SentryExporter.Stopped");
                return;
            }
            let wake_at = self.wake_at();
            // Those that end meanwhile are picked up with those that wait for them.
            let is_soon = self.assembler.next_expiry().is_some_and(|expiry| expiry <= Instant::now() + SOON);
            tokio::select! {
                biased;
                order = self.orders.recv(), if self.deadline.is_none() => self.obey(order),
                Some(done) = self.requests.join_next_with_id() => self.account(done),
                () = self.shared.intake.crowded(), if self.deadline.is_none() => self.take_in(),
                () = self.shared.intake.root_ended(), if self.deadline.is_none() && !is_soon => self.take_in(),
                () = sleep_until(wake_at.into()) => self.take_in(),
                () = future::ready(()), if !self.ready.is_empty() && !self.is_full() => {}
            }
        }
    }

    fn obey(&mut self, order: Option<Order>) {
        match order {
            Some(Order::SetGrace(grace)) => self.assembler.set_grace(grace),
            Some(Order::SetResource(resource)) => self.packer.set_resource(&resource),
            Some(Order::Flush(reply, deadline)) => self.flush(reply, deadline),
            Some(Order::Shutdown(reply, deadline)) => {
                self.deadline = Some(deadline);
                // The answer goes out even if it comes too late for the work.
                self.flush(reply, deadline + LAST_CHANCE);
            }
            // Nobody is left who could send us spans.
            None => {
                self.shared.intake.close();
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
        let ready = assembler.push(inbox.drain(..).filter(|span| is_ours(shared, span)), now);
        inbox.shrink_to(MAX_ROOM);
        for trace_id in doomed.drain(..) {
            let (load, spans) = assembler.discard(trace_id);
            shared.intake.release(spans.iter().map(size_of_span).sum());
            shared.ledger.dropped(DropReason::BufferOverflow, load);
        }
        self.line_up(ready);
        while self.shared.intake.is_crowded() && self.ready.is_empty() && !self.assembler.is_empty() {
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
    fn serialise_some(&mut self) {
        for _ in 0..SLICE {
            if self.is_full() {
                break;
            }
            let Some((number, trace)) = self.ready.pop_front() else { break };
            self.shared.intake.release(trace.spans.iter().map(size_of_span).sum());
            for envelope in self.packer.pack(trace, &self.shared.ledger) {
                self.queue_envelope(number, envelope);
            }
            self.piece_left(number);
        }
        self.shared.intake.set_stuck(self.is_full());
        // What crowds the intake may wait for nothing but this.
        if self.ready.is_empty() && self.shared.intake.is_crowded() && self.deadline.is_none() {
            self.take_in();
        }
    }

    /// Whether the next transaction may not fit into the queue.
    fn is_full(&self) -> bool {
        !self.queue.is_empty() && self.queued_bytes + MAX_TRANSACTION > self.queue_limit
    }

    fn queue_envelope(&mut self, number: u64, envelope: Envelope) {
        if self.queued_bytes + envelope.size() > self.queue_limit {
            return self.shared.ledger.dropped(DropReason::QueueOverflow, envelope.load);
        }
        self.queued_bytes += envelope.size();
        *self.outstanding.entry(number).or_default() += 1;
        self.queue.push_back((number, envelope));
    }

    fn start_requests(&mut self) {
        while self.in_flight.len() < MAX_IN_FLIGHT {
            let Some((number, envelope)) = self.queue.pop_front() else { break };
            self.queued_bytes -= envelope.size();
            let load = envelope.load;
            let request = deliver(Arc::clone(&self.client), Arc::clone(&self.destinations), envelope);
            let id = self.requests.spawn(request).id();
            self.in_flight.insert(id, Sent { number, load });
        }
        self.shared.ledger.set_in_flight(self.queue.len() + self.in_flight.len(), self.queued_bytes);
    }

    /// Notes what became of an envelope.
    fn account(&mut self, done: Result<(Id, Result<(), DropReason>), JoinError>) {
        let (id, result) = match done {
            Ok((id, result)) => (id, result),
            Err(error) => {
                otel_warn!(name: "SentryExporter.HttpClientPanicked", message = error.to_string());
                let id = error.id();
                // Dropping what somebody panicked with may panic, too.
                mem::forget(error);
                (id, Err(DropReason::InternalSdkError))
            }
        };
        let Some(Sent { number, load }) = self.in_flight.remove(&id) else { return };
        match result {
            Ok(()) => self.shared.ledger.sent(load),
            Err(reason) => self.shared.ledger.dropped(reason, load),
        }
        self.piece_left(number);
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
        let lost = self.shared.ledger.stats().spans_dropped();
        let result = match lost - mem::replace(&mut self.told_lost, lost) {
            0 => Ok(()),
            spans => Err(FlushError::Undelivered { spans }),
        };
        for flush in done {
            // Whoever asked may have stopped waiting.
            let _ = flush.reply.send(result.clone());
        }
    }

    fn wake_at(&self) -> Instant {
        let tick = Instant::now() + TICK;
        [self.deadline, self.assembler.next_expiry()].into_iter().flatten().fold(tick, Instant::min)
    }
}

impl Drop for Worker {
    /// The end, by a shutdown or by a panic: counts what did not leave, and tells those who wait.
    fn drop(&mut self) {
        self.shared.intake.close();
        let reason = if thread::panicking() { DropReason::InternalSdkError } else { DropReason::Shutdown };
        let ledger = &self.shared.ledger;
        let unseen = self.shared.intake.abandon();
        ledger.received(unseen);
        ledger.dropped(reason, Load::spans(unseen + self.assembler.len()));
        let ready = self.ready.drain(..).map(|(_, trace)| Load::transaction(trace.spans.len()));
        let queued = self.queue.drain(..).map(|(_, envelope)| envelope.load);
        let in_flight = self.in_flight.drain().map(|(_, sent)| sent.load);
        ready.chain(queued).chain(in_flight).for_each(|load| ledger.dropped(reason, load));
        ledger.set_in_flight(0, 0);
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
    let suppress = || mem::forget(Context::enter_telemetry_suppressed_scope());
    runtime::Builder::new_current_thread().enable_all().on_thread_start(suppress).build()
}
