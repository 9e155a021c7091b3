//! The one thread: it assembles, converts and sends.
//!
//! It has a tokio runtime of its own and several requests in flight, as one transaction is one request and the time
//! that an answer takes must not limit how many leave. Telemetry is suppressed on it, so that sending spans makes
//! none.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io, mem,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{Context, otel_debug, otel_warn};
use opentelemetry_http::{Bytes, HttpClient, Request};
use tokio::{
    runtime,
    sync::mpsc::UnboundedReceiver,
    task::{Id, JoinError, JoinSet},
    time::{sleep_until, timeout},
};

use super::{Destination, Destinations};
use crate::{
    FlushError,
    assembler::{Assembler, MAX_SPANS, Trace, split},
    convert::Sender,
    engine::{Order, Shared},
    envelope::{Envelope, MAX_TRANSACTION},
    intake::size_of_span,
    loss::DropReason,
};

/// Requests that wait for their answer at the same time.
const MAX_IN_FLIGHT: usize = 16;

/// How long one request may take, from its first byte to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How often spans are picked up that end under a root which is still open, so that their waiting time runs.
const TICK: Duration = Duration::from_secs(5);

/// How long the last envelopes have when the application forgot to shut us down.
const LAST_CHANCE: Duration = Duration::from_secs(2);

/// Assembles, converts and sends, until it is told to stop.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Shared,
    orders: UnboundedReceiver<Order>,
    setup: Setup,
    assembler: Assembler,
    /// Envelopes that wait for a free request, by number.
    queue: VecDeque<(u64, Envelope)>,
    queued_bytes: usize,
    next_number: u64,
    requests: JoinSet<Result<(), DropReason>>,
    in_flight: HashMap<Id, Sent>,
    /// Spans of all envelopes that have not left yet, by number.
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
    pub(crate) sender: Sender,
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) destinations: Destinations,
    /// Bytes of serialised envelopes that may wait.
    pub(crate) queue_limit: usize,
}

/// An envelope that waits for its answer.
#[derive(Debug)]
struct Sent {
    number: u64,
    spans: usize,
}

/// Somebody waits until all envelopes below a number have left.
#[derive(Debug)]
struct Flush {
    reply: mpsc::Sender<Result<(), FlushError>>,
    below: u64,
}

impl Worker {
    fn new(shared: Shared, orders: UnboundedReceiver<Order>, setup: Setup) -> Self {
        Self {
            shared,
            orders,
            setup,
            assembler: Assembler::default(),
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
    pub(crate) fn spawn(shared: Shared, orders: UnboundedReceiver<Order>, setup: Setup) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("sentry-transport".to_owned()).spawn(move || {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            runtime.block_on(Self::new(shared, orders, setup).run());
        })?;
        Ok(())
    }

    async fn run(mut self) {
        loop {
            self.start_requests();
            self.answer_flushes();
            let over = self.deadline.is_some_and(|deadline| self.outstanding.is_empty() || Instant::now() >= deadline);
            if over {
                return self.finish();
            }
            let wake_at = self.wake_at();
            tokio::select! {
                biased;
                order = self.orders.recv(), if self.deadline.is_none() => self.obey(order),
                Some(done) = self.requests.join_next_with_id() => self.account(done),
                () = self.shared.intake.woken(), if self.deadline.is_none() => self.take_in(),
                () = sleep_until(wake_at.into()) => self.take_in(),
            }
        }
    }

    fn obey(&mut self, order: Option<Order>) {
        match order {
            Some(Order::SetResource(resource)) => self.setup.sender.resource = resource,
            Some(Order::Flush(reply)) => self.flush(reply),
            Some(Order::Shutdown(reply, deadline)) => {
                self.deadline = Some(deadline);
                self.flush(reply);
            }
            // Nobody is left who could send us spans.
            None => {
                self.shared.intake.close();
                self.deadline = Some(Instant::now() + LAST_CHANCE);
                self.take_in_all();
            }
        }
    }

    /// Picks up what ended, and queues what is ready.
    fn take_in(&mut self) {
        let now = Instant::now();
        let mut ready = self.assembler.push(self.shared.intake.drain(), now);
        ready.extend(self.assembler.expire(now));
        self.queue_traces(ready);
        while self.shared.intake.is_crowded() {
            let oldest = self.assembler.drain_oldest();
            if oldest.is_empty() {
                break;
            }
            self.queue_traces(oldest);
        }
    }

    fn take_in_all(&mut self) {
        self.take_in();
        let rest = self.assembler.drain();
        self.queue_traces(rest);
    }

    fn flush(&mut self, reply: mpsc::Sender<Result<(), FlushError>>) {
        self.take_in_all();
        self.flushes.push(Flush { reply, below: self.next_number });
    }

    fn queue_traces(&mut self, traces: Vec<Trace>) {
        for trace in traces {
            self.shared.intake.release(trace.spans.iter().map(size_of_span).sum());
            self.queue_trace(trace);
        }
    }

    /// Serialises a trace, in parts if it is too large.
    fn queue_trace(&mut self, trace: Trace) {
        let spans = trace.spans.len();
        match Envelope::transaction(&trace, &self.setup.sender) {
            Ok(envelope) if envelope.size() <= MAX_TRANSACTION => self.queue_envelope(envelope),
            Ok(_) if spans > 1 => {
                for part in split(trace, (spans / 2).min(MAX_SPANS)) {
                    self.queue_trace(part);
                }
            }
            Ok(_) => self.drop_transaction(DropReason::Invalid, spans),
            Err(error) => {
                otel_warn!(name: "SentryExporter.SerializationFailed", message = error.to_string());
                self.drop_transaction(DropReason::InternalSdkError, spans);
            }
        }
    }

    fn queue_envelope(&mut self, envelope: Envelope) {
        if self.queued_bytes + envelope.size() > self.setup.queue_limit {
            return self.drop_transaction(DropReason::QueueOverflow, envelope.spans);
        }
        self.queued_bytes += envelope.size();
        self.outstanding.insert(self.next_number, envelope.spans);
        self.queue.push_back((self.next_number, envelope));
        self.next_number += 1;
    }

    fn drop_transaction(&mut self, reason: DropReason, spans: usize) {
        self.shared.ledger.dropped_transaction(reason, spans);
    }

    fn start_requests(&mut self) {
        while self.in_flight.len() < MAX_IN_FLIGHT {
            let Some((number, envelope)) = self.queue.pop_front() else { break };
            self.queued_bytes -= envelope.size();
            let spans = envelope.spans;
            let request = deliver(Arc::clone(&self.setup.client), self.requests_for(&envelope));
            let id = self.requests.spawn(request).id();
            self.in_flight.insert(id, Sent { number, spans });
        }
        self.shared.ledger.set_in_flight(self.outstanding.len());
    }

    /// The request to Sentry, if it gets one, and the copy for Spotlight.
    fn requests_for(&self, envelope: &Envelope) -> (Option<Request<Bytes>>, Option<Request<Bytes>>) {
        let now = SystemTime::now();
        let request = |destination: &Destination| destination.request(envelope, now).ok();
        let Destinations { sentry, spotlight } = &self.setup.destinations;
        (sentry.as_ref().and_then(request), spotlight.as_ref().and_then(request))
    }

    /// Notes what became of an envelope.
    fn account(&mut self, done: Result<(Id, Result<(), DropReason>), JoinError>) {
        let (id, result) = match done {
            Ok((id, result)) => (id, result),
            Err(error) => {
                otel_warn!(name: "SentryExporter.HttpClientPanicked", message = error.to_string());
                (error.id(), Err(DropReason::InternalSdkError))
            }
        };
        let Some(Sent { number, spans }) = self.in_flight.remove(&id) else { return };
        self.outstanding.remove(&number);
        match result {
            Ok(()) => self.shared.ledger.sent(spans),
            Err(reason) => self.shared.ledger.dropped_transaction(reason, spans),
        }
    }

    fn answer_flushes(&mut self) {
        let oldest = self.outstanding.keys().next().copied().unwrap_or(self.next_number);
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

    /// The end: counts what did not leave in time, and tells those who wait.
    fn finish(mut self) {
        let late = self.shared.intake.drain().count();
        self.shared.ledger.dropped_spans(DropReason::Shutdown, late);
        for spans in mem::take(&mut self.outstanding).into_values() {
            self.drop_transaction(DropReason::Shutdown, spans);
        }
        self.shared.ledger.set_in_flight(0);
        self.answer_flushes();
        otel_debug!(name: "SentryExporter.Stopped");
    }
}

/// Sends an envelope to Sentry, and a copy to Spotlight; what counts is whether it reached Sentry.
async fn deliver(
    client: Arc<dyn HttpClient>,
    (sentry, spotlight): (Option<Request<Bytes>>, Option<Request<Bytes>>),
) -> Result<(), DropReason> {
    let to_spotlight = async {
        match spotlight {
            Some(request) => post(client.as_ref(), request).await,
            None => Ok(()),
        }
    };
    match sentry {
        Some(request) => {
            let (result, _copy) = tokio::join!(post(client.as_ref(), request), to_spotlight);
            result
        }
        None => to_spotlight.await,
    }
}

/// Sends one request and reads its status.
async fn post(client: &dyn HttpClient, request: Request<Bytes>) -> Result<(), DropReason> {
    let status = match timeout(REQUEST_TIMEOUT, client.send_bytes(request)).await {
        Ok(Ok(response)) => response.status().as_u16(),
        Ok(Err(error)) => {
            otel_warn!(name: "SentryExporter.RequestFailed", message = error.to_string());
            return Err(DropReason::NetworkError);
        }
        Err(_) => {
            otel_warn!(name: "SentryExporter.RequestTimedOut");
            return Err(DropReason::NetworkError);
        }
    };
    if !(200..300).contains(&status) {
        otel_warn!(name: "SentryExporter.Refused", status = u64::from(status));
    }
    match status {
        200..=299 => Ok(()),
        // A redirect leads to somebody else.
        300..=399 => Err(DropReason::NetworkError),
        429 => Err(DropReason::RateLimited),
        _ => Err(DropReason::SendError),
    }
}
