//! What all candidates do: they make the traces of a service, read and write the headers of its requests, or log lines.
//!
//! The command is the port of the server and some `name=value`:
//!
//! | name | value | default |
//! | --- | --- | --- |
//! | `work` | a name in [`Work::named`] | `api` |
//! | `times` | how often it is done | 1 |
//! | `rate` | traces, or hundreds of log lines, a second; 0: as fast as possible | 0 |
//! | `sample` | the sample rate | 1 |
//! | `patience` | the timeout of the shutdown in seconds; the default is that of all candidates | 2 |
//! | `encoding` | how envelopes are compressed, for ours only: `gzip`, `zstd` | `gzip` |
//! | `lifecycle` | what a trace becomes, for ours only: `transactions`, `stream` | `transactions` |
//!
//! It prints a line of JSON: `units` is the number of spans that were made, of log lines, or of calls; `caller` is the
//! CPU time of the calling thread without its pauses and `all` that of all threads, in nanoseconds; `took` is the time of
//! the work and `shutdown` that of the shutdown, in milliseconds; `resident` is the peak of the resident memory in kB.

use std::{
    collections::HashMap,
    env, fs,
    hint::black_box,
    io, thread,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::trace::SdkTracer;
use rustix::time::{ClockId, clock_gettime};
use tracing::{Dispatch, dispatcher};

use crate::{
    headers::{HEADERS, SENTRY_HEADERS, headers_without_trace},
    service::{SPANS, Through, WIDE_SPANS, make_traces_in_lockstep, make_wide_trace},
};

/// Traces that are open at the same time in [`Work::Lockstep`].
const TOGETHER: usize = 200;

/// Lines of [`Work::Logs`] that are logged at once. They fill an envelope.
const LINES: usize = 100;

/// What a process does, by its command.
pub struct Plan {
    port: u16,
    named: HashMap<String, String>,
}

impl Plan {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        let port = arguments.next().and_then(|port| port.parse().ok());
        let named =
            arguments.filter_map(|it| Some((it.split_once('=')?.0.to_owned(), it.split_once('=')?.1.to_owned())));
        Ok(Self { named: named.collect(), port: port.ok_or_else(|| io::Error::other("the first argument is a port"))? })
    }

    /// The URL of the server, with this user and path.
    pub fn url(&self, user: &str, path: &str) -> String {
        format!("http://{user}127.0.0.1:{}{path}", self.port)
    }

    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.named.get(name).map_or(default, String::as_str)
    }

    fn number(&self, name: &str, default: u32) -> io::Result<u32> {
        self.named.get(name).map_or(Ok(default), |text| text.parse().map_err(io::Error::other))
    }

    pub fn sample_rate(&self) -> io::Result<f64> {
        self.text("sample", "1").parse().map_err(io::Error::other)
    }

    pub fn patience(&self) -> io::Result<Duration> {
        Ok(Duration::from_secs(self.number("patience", 2)?.into()))
    }
}

/// What is measured, ready to work.
pub struct Candidate<E> {
    pub tracer: SdkTracer,
    /// Turns spans of `tracing` into spans of the tracer, or its events into logs.
    pub dispatch: Dispatch,
    pub propagator: Box<dyn TextMapPropagator>,
    /// Shuts it down.
    pub end: E,
}

#[derive(Clone, Copy)]
enum Work {
    Traces(Through),
    Wide,
    Lockstep,
    Logs,
    Extract(&'static [(&'static str, &'static str)]),
    Inject,
}

impl Work {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "api" => Self::Traces(Through::Api),
            "tracing" => Self::Traces(Through::Tracing),
            "wide" => Self::Wide,
            "lockstep" => Self::Lockstep,
            "logs" => Self::Logs,
            "extract" => Self::Extract(&HEADERS),
            "extract_sentry" => Self::Extract(&SENTRY_HEADERS),
            "nothing" => Self::Extract(headers_without_trace()),
            "inject" => Self::Inject,
            _ => return None,
        })
    }

    /// The units that doing it once makes.
    const fn units(self) -> usize {
        match self {
            Self::Traces(_) => SPANS,
            Self::Wide => WIDE_SPANS,
            Self::Lockstep => TOGETHER * SPANS,
            Self::Logs => LINES,
            Self::Extract(_) | Self::Inject => 1,
        }
    }

    fn run<E>(self, times: u32, candidate: &Candidate<E>, pace: &mut Pace) {
        let Candidate { tracer, propagator, .. } = candidate;
        let times = 0..times;
        match self {
            Self::Traces(through) => times.for_each(|_| {
                through.make_trace(tracer);
                pace.pause();
            }),
            Self::Wide => times.for_each(|_| {
                make_wide_trace(tracer);
                pace.pause();
            }),
            Self::Lockstep => times.for_each(|_| make_traces_in_lockstep(tracer, TOGETHER, || pace.pause())),
            Self::Logs => times.for_each(|_| {
                (0..LINES).for_each(log_line);
                pace.pause();
            }),
            Self::Extract(headers) => {
                let headers = header_map(headers);
                let extract =
                    || propagator.extract_with_context(&Context::new(), &HeaderExtractor(black_box(&headers)));
                times.for_each(|_| drop(black_box(extract())));
            }
            Self::Inject => {
                let extracted =
                    propagator.extract_with_context(&Context::new(), &HeaderExtractor(&header_map(&HEADERS)));
                let cx = extracted.with_span(tracer.start_with_context("GET /orders", &extracted));
                let mut headers = HeaderMap::with_capacity(HEADERS.len());
                times.for_each(|_| {
                    headers.clear();
                    propagator.inject_context(black_box(&cx), &mut HeaderInjector(&mut headers));
                });
            }
        }
    }
}

/// A line outside of any span, so that nothing but the line is measured.
fn log_line(order: usize) {
    tracing::info!(order.items = 3, customer = "bob", paid = true, "order {order} placed");
}

fn header_map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let header =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    headers.iter().map(header).collect()
}

/// Runs the command of this process.
pub fn run<E: FnOnce()>(set_up: impl FnOnce(&Plan) -> io::Result<Candidate<E>>) -> io::Result<()> {
    let plan = Plan::from_arguments(env::args().skip(1))?;
    let work = Work::named(plan.text("work", "api")).ok_or_else(|| io::Error::other("no such work"))?;
    let times = plan.number("times", 1)?;
    let candidate = set_up(&plan)?;
    let before = cpu_time(ClockId::ProcessCPUTime);
    let mut pace = Pace::new(plan.number("rate", 0)?);
    dispatcher::with_default(&candidate.dispatch, || work.run(times, &candidate, &mut pace));
    let (caller, took, stopped) = (pace.worked(), pace.start.elapsed(), Instant::now());
    (candidate.end)();
    let all = cpu_time(ClockId::ProcessCPUTime) - before;
    println!(
        r#"{{"units": {}, "caller": {}, "all": {}, "took": {}, "shutdown": {}, "resident": {}}}"#,
        work.units() * times as usize,
        caller.as_nanos(),
        all.as_nanos(),
        took.as_millis(),
        stopped.elapsed().as_millis(),
        peak_resident()?,
    );
    Ok(())
}

/// Makes the calling thread pause between traces, and measures the CPU time between the pauses.
struct Pace {
    start: Instant,
    /// The time from one trace to the next. Zero: no pauses.
    step: Duration,
    due: Instant,
    worked: Duration,
    resumed: Duration,
}

impl Pace {
    /// A thread that is later than this does not catch up: a burst after slow work would measure something else.
    const CATCH_UP: Duration = Duration::from_millis(20);

    fn new(rate: u32) -> Self {
        let (start, resumed) = (Instant::now(), cpu_time(ClockId::ThreadCPUTime));
        let step = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        Self { start, step, due: start, worked: Duration::ZERO, resumed }
    }

    /// Waits until it is time for the next trace.
    fn pause(&mut self) {
        if self.step.is_zero() {
            return;
        }
        self.worked += cpu_time(ClockId::ThreadCPUTime) - self.resumed;
        let now = Instant::now();
        self.due = (self.due + self.step).max(now.checked_sub(Self::CATCH_UP).unwrap_or(now));
        thread::sleep(self.due.saturating_duration_since(now));
        self.resumed = cpu_time(ClockId::ThreadCPUTime);
    }

    fn worked(&self) -> Duration {
        self.worked + cpu_time(ClockId::ThreadCPUTime) - self.resumed
    }
}

fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// In kB.
fn peak_resident() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.ok_or_else(|| io::Error::other("no VmHWM"))
}
