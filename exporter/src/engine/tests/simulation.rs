//! The driver of the tests: time passes only when nothing is left to do, and a closure answers the requests.

use std::{
    collections::BTreeMap,
    io::Read,
    mem,
    path::PathBuf,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity},
    trace::{SpanContext, TraceState},
};
use opentelemetry_http::{Bytes, Request};
use opentelemetry_sdk::{
    logs::{SdkLogRecord, SdkLoggerProvider},
    trace::SpanData,
};
use opentelemetry_sentry_protocol::{Dsn, Service};
use web_time::Instant;
use wildmatch::WildMatch;

use super::super::{
    Driven, EngineOptions, FlushError, Setup, Shared,
    intake::Intake,
    logs::{LogIntake, RecordKind},
    machine::Machine,
    metrics::{Instrument, MetricStore, NumberType, Role, Sink, Wanted},
    order::{Mailbox, Orders},
    otlp::OtlpInbox,
    waiter, worker,
};
use crate::{
    account::{DropReason, Ledger, Now, Stats},
    convert::{Sender, TagRules},
    packing::{Packer, Rules},
    trace::{LogFilters, WaitLimits, fixtures},
    transport::{
        Answer, DeliveryOptions, Destinations, DiskDone, DiskJob, Outgoing, Spool, SpoolError, SpoolOptions, Stored,
    },
};

/// How long the driver packs at a time.
const TURN: Duration = Duration::from_millis(1);

/// When values of histograms are measured, after the epoch.
const DAY: Duration = Duration::from_secs(86_400);

/// When the driver gives up on a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the server says to a request, and after what time.
pub(super) struct Reply {
    after: Duration,
    pub(super) answer: Answer,
}

pub(super) fn status(status: u16, after: Duration) -> Reply {
    Reply { after, answer: Answer::Status(status, HeaderMap::new()) }
}

pub(super) fn accepted(after: Duration) -> Reply {
    status(200, after)
}

pub(super) fn refused() -> Reply {
    Reply { after: millis(1), answer: Answer::Nothing("connection refused".to_owned()) }
}

pub(super) fn hangs() -> Reply {
    Reply { after: REQUEST_TIMEOUT, answer: Answer::Nothing("no answer".to_owned()) }
}

/// An answer that limits categories by `X-Sentry-Rate-Limits`.
pub(super) fn limited_with(status: u16, limits: &str) -> Reply {
    let limits = HeaderValue::from_str(limits).unwrap();
    let headers = HeaderMap::from_iter([(HeaderName::from_static("x-sentry-rate-limits"), limits)]);
    Reply { after: millis(1), answer: Answer::Status(status, headers) }
}

pub(super) fn limited(seconds: u64) -> Reply {
    asks_to_wait(429, seconds)
}

/// An answer with `Retry-After`.
pub(super) fn asks_to_wait(status: u16, seconds: u64) -> Reply {
    let retry_after = HeaderValue::from(seconds);
    let headers = HeaderMap::from_iter([(HeaderName::from_static("retry-after"), retry_after)]);
    Reply { after: millis(1), answer: Answer::Status(status, headers) }
}

/// The request is accepted, with limits for what comes later.
pub(super) fn limits(limits: &'static str) -> Reply {
    let limits = (HeaderName::from_static("x-sentry-rate-limits"), HeaderValue::from_static(limits));
    Reply { after: millis(1), answer: Answer::Status(200, HeaderMap::from_iter([limits])) }
}

/// A request, as the server sees it.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) at: Duration,
    pub(super) path: String,
    /// Before compression.
    pub(super) text: String,
    /// The transaction's own id is the first.
    pub(super) spans: Vec<u64>,
    pub(super) is_for_spotlight: bool,
}

impl Parcel {
    pub(super) fn new(at: Duration, request: &Request<Bytes>) -> Self {
        let body = request.body();
        let mut plain = Vec::new();
        if request.headers().contains_key("content-encoding") {
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        } else {
            plain.extend_from_slice(body);
        }
        let text = String::from_utf8_lossy(&plain).into_owned();
        let mut spans = Vec::new();
        if request.headers().get("content-type").is_some_and(|kind| kind == "application/x-protobuf") {
            spans.extend(super::otlp::ids(&plain));
        } else if text.contains("\"type\":\"transaction\"") || text.contains("\"type\":\"span\"") {
            const KEY: &str = "\"span_id\":\"";
            let ids = text.match_indices(KEY).map(|(place, _)| &text[place + KEY.len()..place + KEY.len() + 16]);
            spans.extend(ids.map(|id| u64::from_str_radix(id, 16).unwrap()));
        }
        Self {
            at,
            path: request.uri().path().to_owned(),
            text,
            spans,
            is_for_spotlight: request.uri().host() == Some("spotlight"),
        }
    }

    pub(super) fn is_error(&self) -> bool {
        self.text.contains("\"type\":\"event\"")
    }

    pub(super) fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

/// What a process is set up with.
pub(super) struct Plan {
    pub(super) has_dsn: bool,
    pub(super) has_spotlight: bool,
    pub(super) dir: Option<PathBuf>,
    pub(super) rules: fn() -> Rules,
    pub(super) ignored_metrics: &'static [&'static str],
    pub(super) engine: EngineOptions,
    pub(super) queue_limit: usize,
    /// What a piece of work costs.
    pub(super) work_time: Duration,
    /// What a job for the disk costs.
    pub(super) disk_time: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            has_dsn: true,
            has_spotlight: false,
            dir: None,
            rules: Rules::default,
            ignored_metrics: &[],
            engine: EngineOptions::default(),
            queue_limit: DeliveryOptions::default().queue_limit,
            work_time: Duration::ZERO,
            disk_time: Duration::ZERO,
        }
    }
}

type Network = Box<dyn FnMut(&Parcel) -> Reply>;

/// A process with its network and its disk.
pub(super) struct Simulation {
    plan: Plan,
    pub(super) shared: Shared,
    machine: Option<Machine>,
    spool: Option<Spool>,
    pub(super) network: Network,
    pub(super) disk_fails: bool,
    pub(super) failed_jobs: usize,
    /// How many jobs the disk did in each turn in which it had one.
    pub(super) jobs: Vec<usize>,
    start: Instant,
    now: Now,
    /// Requests that are out, by when their answer comes.
    out: BTreeMap<(Instant, u64), (Answer, Vec<u64>)>,
    /// All requests but those for Spotlight.
    pub(super) requests: Vec<Parcel>,
    pub(super) copies: Vec<Parcel>,
    /// Spans that the server accepted, and when.
    pub(super) arrived: Vec<(u64, Duration)>,
    /// When the machine woke up for nothing.
    pub(super) idle: Vec<Duration>,
    is_woken: bool,
    next_span: u64,
    next_trace: u128,
}

impl Simulation {
    pub(super) fn new(plan: Plan, network: impl FnMut(&Parcel) -> Reply + 'static) -> Self {
        let start = Instant::now() + seconds(3600);
        let now = Now { instant: start, wall: UNIX_EPOCH + seconds(1_700_000_000) };
        let (shared, machine, spool) = process(&plan, now);
        Self {
            plan,
            shared,
            machine: Some(machine),
            spool,
            network: Box::new(network),
            disk_fails: false,
            failed_jobs: 0,
            jobs: Vec::new(),
            start,
            now,
            out: BTreeMap::new(),
            requests: Vec::new(),
            copies: Vec::new(),
            arrived: Vec::new(),
            idle: Vec::new(),
            is_woken: false,
            next_span: 0,
            next_trace: 0,
        }
    }

    /// A process without a spool, to which the server answers after this time.
    pub(super) fn with_server(after: Duration) -> Self {
        Self::new(Plan::default(), move |_| accepted(after))
    }

    /// The time since the start.
    pub(super) fn time(&self) -> Duration {
        self.now.instant - self.start
    }

    /// Gives the machine to the driver of applications. Time and network are the test's from then on.
    pub(super) fn driven(&mut self) -> Driven {
        Driven::new(self.machine.take().expect("a machine"))
    }

    /// What the clocks show after this time.
    pub(super) fn clocks(&self, time: Duration) -> Now {
        Now { instant: self.now.instant + time, wall: self.now.wall + time }
    }

    pub(super) fn later(&self, time: Duration) -> Instant {
        self.now.instant + time
    }

    pub(super) fn jump(&mut self, jump: impl FnOnce(SystemTime) -> SystemTime) {
        self.now.wall = jump(self.now.wall);
    }

    /// The machine without this driver, for a test that drives it as an application does.
    pub(super) fn take_driven(&mut self) -> Driven {
        Driven::new(self.machine.take().expect("it runs"))
    }

    pub(super) const fn now(&self) -> Now {
        self.now
    }

    /// Lets time pass in which nothing runs.
    pub(super) fn freeze(&mut self, time: Duration) {
        self.now = Now { instant: self.now.instant + time, wall: self.now.wall + time };
    }

    pub(super) fn stats(&self) -> Stats {
        self.shared.ledger.stats()
    }

    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        self.stats().dropped.get(&reason).map_or(0, |dropped| dropped.spans)
    }

    /// Spans that arrived, without those that arrived again.
    pub(super) fn distinct(&self) -> usize {
        self.arrived.iter().map(|(id, _)| id).collect::<std::collections::BTreeSet<_>>().len()
    }

    pub(super) fn new_trace(&mut self) -> u128 {
        self.next_trace += 1;
        self.next_trace
    }

    /// A span that has not ended. Parent 0 means that it has none.
    pub(super) fn span(&mut self, trace: u128, parent: u64) -> SpanData {
        self.next_span += 1;
        assert!(self.next_span < 1_000_000, "from there on parents are remote");
        let mut span = (*fixtures::span(self.next_span, parent)).clone();
        span.span_context = SpanContext::new(
            TraceId::from_bytes(trace.to_be_bytes()),
            span.span_context.span_id(),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        span
    }

    /// Lets a span start that is a job of a cron monitor.
    pub(super) fn start(&mut self, span: &SpanData) {
        assert!(self.shared.intake.jobs.started(span, &self.shared.ledger));
        self.is_woken = true;
    }

    /// Lets a span end.
    pub(super) fn end(&mut self, span: SpanData) {
        self.is_woken |= span.parent_span_id == SpanId::INVALID;
        self.shared.intake.end(span, &self.shared.ledger);
        self.is_woken |= self.shared.intake.is_crowded();
    }

    /// Ends a root with children, the root last; returns its id. `change` is called for each child.
    pub(super) fn trace(&mut self, children: usize, mut change: impl FnMut(usize, &mut SpanData)) -> u64 {
        let trace = self.new_trace();
        let root = self.span(trace, 0);
        let id = id_of(&root);
        for number in 0..children {
            let mut child = self.span(trace, id);
            change(number, &mut child);
            self.end(child);
        }
        self.end(root);
        id
    }

    /// Emits log records outside of any trace.
    pub(super) fn logs(&mut self, count: usize, body: &'static str) {
        for _ in 0..count {
            self.log(RecordKind::Line, |record| record.set_body(body.into()));
        }
    }

    /// The instrument with this name and role, whose numbers are unsigned.
    pub(super) fn instrument(&mut self, name: &str, role: Role) -> Arc<Instrument> {
        let Sink::Instrument(instrument) = self.sink(name, role) else { panic!("no instrument {name:?}") };
        instrument
    }

    /// The same for numbers that are floats.
    pub(super) fn instrument_of_floats(&mut self, name: &str, role: Role) -> Arc<Instrument> {
        let Sink::Instrument(instrument) = self.sink_of(name, role, NumberType::F64) else { panic!("{name:?}") };
        instrument
    }

    /// What becomes of the measurements of an instrument.
    pub(super) fn sink(&mut self, name: &str, role: Role) -> Sink {
        self.sink_of(name, role, if role == Role::Total { NumberType::I64 } else { NumberType::U64 })
    }

    fn sink_of(&mut self, name: &str, role: Role, number_type: NumberType) -> Sink {
        let scope = &InstrumentationScope::default();
        let sink = self.shared.metrics.instrument(&Wanted { scope, name, unit: "", role, number_type });
        self.machine.iter_mut().for_each(|machine| machine.metrics_arrived(self.now));
        sink
    }

    /// Emits a log record with an exception.
    pub(super) fn log_error(&mut self, message: &'static str) {
        self.log(RecordKind::Error(None), |record| {
            record.set_severity_number(Severity::Error);
            record.add_attribute("exception.message", message);
        });
    }

    fn log(&mut self, kind: RecordKind, fill: impl FnOnce(&mut SdkLogRecord)) {
        let mut record = SdkLoggerProvider::builder().build().logger("").create_log_record();
        record.set_observed_timestamp(self.now.wall);
        fill(&mut record);
        self.shared.logs.push(&record, &InstrumentationScope::default(), kind, &self.shared.ledger);
        self.machine.iter_mut().for_each(|machine| machine.logs_arrived(self.now));
    }

    /// Ends transactions of a single span each.
    pub(super) fn singles(&mut self, count: usize) {
        for _ in 0..count {
            self.single("work");
        }
    }

    /// Ends a transaction of a single span with this name; returns its id.
    pub(super) fn single(&mut self, name: &'static str) -> u64 {
        let trace = self.new_trace();
        let mut root = self.span(trace, 0);
        root.name = name.into();
        let id = id_of(&root);
        self.end(root);
        id
    }

    pub(super) fn leave(&self, order: impl FnOnce(&mut Orders)) {
        self.shared.mailbox.leave(self.now.instant, order);
    }

    pub(super) fn begin_flush(&self, timeout: Duration) -> Receiver<Result<(), FlushError>> {
        let (waiter, answer) = waiter(self.now.instant + timeout);
        self.leave(|orders| orders.flushes.push(waiter));
        answer
    }

    pub(super) fn flush(&mut self, timeout: Duration) -> Result<(), FlushError> {
        let answer = self.begin_flush(timeout);
        self.wait(&answer, timeout)
    }

    /// As the engine does it.
    pub(super) fn shutdown(&mut self, timeout: Duration) -> Result<(), FlushError> {
        self.shared.intake.close(DropReason::Shutdown);
        let margin = (timeout / 10).min(millis(50));
        let (waiter, answer) = waiter(self.now.instant + timeout - margin);
        self.leave(|orders| orders.shutdown = Some(waiter));
        let result = self.wait(&answer, timeout);
        assert!(self.machine.is_none(), "it has ended in time");
        result
    }

    fn wait(&mut self, answer: &Receiver<Result<(), FlushError>>, timeout: Duration) -> Result<(), FlushError> {
        let deadline = self.now.instant + timeout;
        loop {
            let is_busy = self.turn();
            if let Ok(result) = answer.try_recv() {
                return result;
            }
            if deadline <= self.now.instant {
                return Err(FlushError::Timeout(timeout));
            }
            if !is_busy {
                self.advance(deadline);
            }
        }
    }

    /// The process dies without another step.
    pub(super) fn kill(&mut self) {
        mem::forget(self.machine.take());
        self.out.clear();
        // The system releases its locks.
        self.spool = None;
    }

    /// Starts a process on the same directory.
    pub(super) fn restart(&mut self) {
        assert!(self.machine.is_none());
        self.spool = None;
        let (shared, machine, spool) = process(&self.plan, self.now);
        (self.shared, self.machine, self.spool) = (shared, Some(machine), spool);
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let until = self.now.instant + time;
        while self.now.instant < until {
            self.advance(until);
        }
    }

    /// Runs until everything has arrived or is counted as lost, at most for this time.
    pub(super) fn settle(&mut self, most: Duration) {
        let until = self.now.instant + most;
        let is_settled = |sim: &Self| {
            let stats = sim.stats();
            stats.spans_pending + stats.spans_spooled + sim.shared.intake.waiting() == 0
        };
        while self.now.instant < until && !is_settled(self) {
            self.advance(until);
        }
    }

    /// Does what there is to do; if that is nothing, lets the time pass until something happens.
    fn advance(&mut self, until: Instant) {
        if self.turn() {
            return;
        }
        let Some(machine) = &mut self.machine else {
            self.pass(until);
            return;
        };
        if mem::take(&mut self.is_woken) {
            machine.take_in(self.now);
            self.turn();
            return;
        }
        let wake_at = machine.wake_at(self.now);
        let answer = self.out.first_key_value().map(|((at, _), _)| *at);
        let next = wake_at.min(answer.unwrap_or(until));
        self.pass(next.min(until));
        let answers = self.take_answers();
        if self.now.instant < until && !answers && !self.turn() {
            self.idle.push(self.time());
            // A machine that wants to be woken in the past must not stop the time.
            self.pass(self.now.instant + Duration::from_micros(10));
        }
    }

    fn pass(&mut self, until: Instant) {
        let time = until.saturating_duration_since(self.now.instant);
        self.now.instant += time;
        self.now.wall += time;
    }

    /// One round of the driver; returns whether there was anything to do.
    fn turn(&mut self) -> bool {
        let mut is_busy = self.take_answers();
        let Some(mut machine) = self.machine.take() else { return is_busy };
        machine.step(self.now);
        while let Some(outgoing) = machine.next_request(self.now) {
            self.send(outgoing);
            is_busy = true;
        }
        is_busy |= self.use_disk(&mut machine);
        if machine.is_over() {
            drop(machine);
            self.spool = None;
            self.out.clear();
            return true;
        }
        let end = self.now.instant + TURN;
        while machine.has_work() {
            is_busy = true;
            machine.work(self.now);
            self.pass(self.now.instant + self.plan.work_time);
            if self.now.instant >= end {
                break;
            }
        }
        self.machine = Some(machine);
        is_busy
    }

    fn use_disk(&mut self, machine: &mut Machine) -> bool {
        let mut jobs = 0;
        while let Some(job) = machine.next_job(self.now) {
            let Some(spool) = &mut self.spool else { break };
            jobs += 1;
            let done = match job {
                DiskJob::Store(_) if self.disk_fails => {
                    self.failed_jobs += 1;
                    let error = Some(SpoolError::Io(std::io::ErrorKind::StorageFull.into()));
                    DiskDone::Stored(Stored { error, ..Stored::default() })
                }
                job => job.run(spool, self.now),
            };
            self.pass(self.now.instant + self.plan.disk_time);
            machine.job_done(done, self.now);
        }
        self.jobs.extend(Some(jobs).filter(|jobs| *jobs > 0));
        jobs > 0
    }

    fn send(&mut self, outgoing: Outgoing) {
        let Outgoing { id, request } = outgoing;
        let parcel = Parcel::new(self.time(), &request);
        let Reply { after, answer } = (self.network)(&parcel);
        let spans = if parcel.is_for_spotlight && self.plan.has_dsn { Vec::new() } else { parcel.spans.clone() };
        self.out.insert((self.now.instant + after.min(REQUEST_TIMEOUT), id), (answer, spans));
        if parcel.is_for_spotlight { &mut self.copies } else { &mut self.requests }.push(parcel);
    }

    fn take_answers(&mut self) -> bool {
        let mut is_busy = false;
        while let Some(entry) = self.out.first_entry().filter(|entry| entry.key().0 <= self.now.instant) {
            let ((_, id), (answer, spans)) = entry.remove_entry();
            if matches!(answer, Answer::Status(200..=299, _)) {
                let time = self.time();
                self.arrived.extend(spans.into_iter().map(|span| (span, time)));
            }
            self.machine.iter_mut().for_each(|machine| machine.answered(id, answer_of(&answer), self.now));
            is_busy = true;
        }
        is_busy
    }
}

fn answer_of(answer: &Answer) -> Answer {
    match answer {
        Answer::Status(status, headers) => Answer::Status(*status, headers.clone()),
        Answer::Nothing(reason) => Answer::Nothing(reason.clone()),
        Answer::Panic => Answer::Panic,
    }
}

/// The machine of a process, and what it shares with callers.
fn process(plan: &Plan, now: Now) -> (Shared, Machine, Option<Spool>) {
    let dsn: Option<Dsn> = plan.has_dsn.then(|| "http://key@sentry/1".parse().unwrap());
    let spotlight = plan.has_spotlight.then_some("http://spotlight/stream");
    let destinations = Destinations::new(dsn.as_ref(), None, spotlight, false).unwrap().unwrap();
    let sender = Sender::new(Service::new(dsn), None, TagRules::default());
    let ledger: Arc<Ledger> = Arc::default();
    let shared = Shared {
        logs: Arc::new(LogIntake::new(plan.engine.log_limit)),
        otlp: Arc::new(OtlpInbox::new(plan.queue_limit)),
        intake: Arc::new(Intake::new(plan.engine.buffer_limit).with_lifecycle(plan.engine.lifecycle)),
        metrics: Arc::new(MetricStore::new(
            Arc::clone(&ledger),
            plan.ignored_metrics.iter().map(|name| WildMatch::new(name)).collect(),
            || UNIX_EPOCH + DAY,
            7,
        )),
        ledger,
        mailbox: Arc::new(Mailbox::new()),
    };
    let setup = Setup {
        packer: Packer::new(sender, (plan.rules)()),
        destinations: Arc::new(destinations),
        decisions: Arc::default(),
        ignored: None,
        wait: WaitLimits::default(),
        log_filters: LogFilters::default(),
        ignored_metrics: Vec::new(),
        options: plan.engine,
        delivery: DeliveryOptions {
            spool_dir: plan.dir.clone(),
            queue_limit: plan.queue_limit,
            ..DeliveryOptions::default()
        },
    };
    let spool = plan.dir.clone().map(|dir| Spool::open(SpoolOptions::new(dir), now));
    let machine = worker::machine(shared.clone(), setup, fastrand::Rng::with_seed(7), now);
    (shared, machine, spool)
}

pub(super) fn id_of(span: &SpanData) -> u64 {
    u64::from_be_bytes(span.span_context.span_id().to_bytes())
}

/// Makes a span larger.
pub(super) fn pad(span: &mut SpanData, number: usize, bytes: usize) {
    span.attributes.push(KeyValue::new(format!("padding.{number}"), "x".repeat(bytes)));
}
