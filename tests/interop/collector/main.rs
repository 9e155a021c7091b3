//! Two services in one trace: one sends to Sentry, the other to a collector, which sends to Sentry by OTLP.
//!
//! `tests/interop/collector/run` starts this program with the path of a collector, rotel's agent.
#![expect(clippy::print_stdout, reason = "tests/interop/run prints one line for each test")]

use std::{
    collections::{BTreeSet, HashMap},
    env,
    error::Error,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, TraceId,
    logs::{LogRecord, Logger, LoggerProvider, Severity},
    propagation::TextMapPropagator,
    trace::{SpanKind, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use opentelemetry_sentry::{
    Sentry, SentryPropagator, SentrySampler,
    exporter::testing::{LocalIngest, OtlpLog, OtlpSpan, Transaction},
    protocol::Dsn,
};

/// Only a collector that hangs takes so long.
const LONG: Duration = Duration::from_secs(40);

type Headers = HashMap<String, String>;

/// A running collector. Dropping it ends it.
struct Collector {
    agent: Child,
    /// Where it takes OTLP over HTTP.
    url: String,
}

impl Collector {
    fn start(agent: &str, dsn: &Dsn) -> Result<Self, Box<dyn Error>> {
        let [grpc, http] = [free_address()?, free_address()?];
        let metrics = dsn.otlp_traces_url().replace("traces", "metrics"); // rotel wants one, and Sentry has none
        let options = [
            ("--otlp-grpc-endpoint", &grpc),
            ("--otlp-http-endpoint", &http),
            ("--exporter", &"otlp".to_owned()),
            ("--otlp-exporter-protocol", &"http".to_owned()),
            ("--otlp-exporter-traces-endpoint", &dsn.otlp_traces_url()),
            ("--otlp-exporter-logs-endpoint", &dsn.otlp_logs_url()),
            ("--otlp-exporter-metrics-endpoint", &metrics),
            ("--otlp-exporter-custom-headers", &dsn.otlp_headers()),
            ("--otlp-exporter-compression", &"gzip".to_owned()),
            ("--batch-timeout", &"200ms".to_owned()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value.clone()]);
        let agent =
            Command::new(agent).arg("start").args(options).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let collector = Self { agent, url: format!("http://{http}") };
        let start = Instant::now();
        while TcpStream::connect(&http).is_err() {
            if start.elapsed() > LONG {
                return Err("the collector does not listen".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(collector)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = (self.agent.kill(), self.agent.wait());
    }
}

fn free_address() -> Result<String, Box<dyn Error>> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A service, with what sends its spans and logs.
struct Service {
    name: &'static str,
    sentry: Sentry,
    spans: SdkTracerProvider,
    logs: SdkLoggerProvider,
}

impl Service {
    fn direct(dsn: &str, rate: f64) -> Result<Self, Box<dyn Error>> {
        let sentry = Sentry::builder().with_dsn(dsn).with_traces_sample_rate(rate).with_logs(true).build()?;
        let (spans, logs) = (sentry.tracer_provider().clone(), sentry.logger_provider().clone());
        Ok(Self { name: "direct", sentry, spans, logs })
    }

    /// Sentry decides and propagates; OpenTelemetry's exporters send to the collector.
    fn by_collector(dsn: &str, rate: f64, collector: &Collector) -> Result<Self, Box<dyn Error>> {
        let sampler = SentrySampler::builder().with_rate(rate).with_trace_header(false).build()?;
        let sentry = Sentry::builder().with_dsn(dsn).with_sampler(sampler.clone()).build()?;
        let traces =
            SpanExporter::builder().with_http().with_endpoint(format!("{}/v1/traces", collector.url)).build()?;
        let logs = LogExporter::builder().with_http().with_endpoint(format!("{}/v1/logs", collector.url)).build()?;
        let spans = SdkTracerProvider::builder().with_sampler(sampler).with_batch_exporter(traces).build();
        let logs = SdkLoggerProvider::builder().with_batch_exporter(logs).build();
        Ok(Self { name: "by collector", sentry, spans, logs })
    }

    const fn propagator(&self) -> &SentryPropagator {
        self.sentry.propagator()
    }

    /// Answers a request in a span, logs a line in it, and calls the next service. Returns the headers of that call.
    fn answer(&self, headers: &Headers, next: impl FnOnce(&Headers)) -> Headers {
        let tracer = self.spans.tracer("service");
        let caller = self.propagator().extract(headers);
        let request = tracer.span_builder("GET /").with_kind(SpanKind::Server).start_with_context(&tracer, &caller);
        let request = caller.with_span(request);
        let _active = request.attach();
        let logger = self.logs.logger("service");
        let mut line = logger.create_log_record();
        line.set_severity_number(Severity::Info);
        line.set_body(format!("{} answers", self.name).into());
        logger.emit(line);
        let call = tracer.span_builder("GET").with_kind(SpanKind::Client).start(&tracer);
        let call = Context::current_with_span(call);
        let mut outgoing = Headers::new();
        self.propagator().inject_context(&call, &mut outgoing);
        next(&outgoing);
        call.span().end();
        outgoing
    }

    fn shutdown(self) -> Result<(), Box<dyn Error>> {
        self.spans.force_flush()?;
        self.logs.force_flush()?;
        self.sentry.shutdown(LONG)?;
        Ok(())
    }
}

/// What calls the first service.
fn browser(trace_id: TraceId, flag: &str) -> Headers {
    let baggage =
        format!("sentry-trace_id={trace_id},sentry-public_key=public,sentry-sample_rate=0.5,sentry-sample_rand=0.25");
    Headers::from([
        ("sentry-trace".to_owned(), format!("{trace_id}-{BROWSER_SPAN}-{flag}")),
        ("baggage".to_owned(), format!("{baggage},sentry-sampled={}", flag == "1")),
    ])
}

const BROWSER_SPAN: &str = "1234567890abcdef";

/// Sends a request through both services. Returns what the second one would send to a third.
fn visit(first: &Service, second: &Service, headers: &Headers) -> [Headers; 2] {
    let mut last = Headers::new();
    let middle = first.answer(headers, |headers| last = second.answer(headers, |_| {}));
    [middle, last]
}

fn main() -> Result<(), Box<dyn Error>> {
    let agent = env::args().nth(1).ok_or("expected the path of rotel's agent")?;
    let ingest = LocalIngest::start()?;
    let dsn = ingest.dsn();
    let collector = Collector::start(&agent, &dsn.parse()?)?;
    let pair =
        |rate| Ok::<_, Box<dyn Error>>([Service::direct(&dsn, rate)?, Service::by_collector(&dsn, rate, &collector)?]);
    let mut ids = (1_u128..).map(|number| TraceId::from(0x0077_1a43_a419_2642_f0b1_36d5_159a_0000 + number));
    let mut next_id = || ids.next().unwrap_or(TraceId::INVALID);
    let mut sampled = BTreeSet::new();
    // What is not sampled comes first: when the rest has arrived, it would have arrived, too.
    for (rate, flag) in [(0.0, None), (1.0, Some("0")), (1.0, None), (0.0, Some("1")), (1.0, Some("1"))] {
        let [direct, by_collector] = pair(rate)?;
        for (first, second) in [(&direct, &by_collector), (&by_collector, &direct)] {
            let headers = flag.map(|flag| browser(next_id(), flag)).unwrap_or_default();
            let outgoing = visit(first, second, &headers);
            let is_sampled = flag.map_or(rate > 0.0, |flag| flag == "1");
            let trace_ids = outgoing.each_ref().map(|headers| check_headers(headers, is_sampled, flag));
            assert_eq!(trace_ids[0], trace_ids[1]);
            if is_sampled {
                sampled.insert((trace_ids[0].clone(), first.name, flag));
            }
        }
        direct.shutdown()?;
        by_collector.shutdown()?;
    }
    // Two spans and a log of each visit by each way; and one trace more would be one span more.
    let is_all = || ingest.otlp_spans().len() == 2 * sampled.len() && ingest.otlp_logs().len() == 10;
    ingest.wait_until(LONG, |_| is_all())?;
    for (trace_id, first, flag) in &sampled {
        check_trace(&ingest, trace_id, *first == "direct", *flag);
    }
    assert_eq!(ingest.transactions().len(), sampled.len());
    assert!(ingest.requests().iter().all(|request| request.refusal().is_none() || request.path().contains("metrics")));
    println!("collector: {} traces through a service with a collector and one without: ok", sampled.len());
    Ok(())
}

/// Checks what a service passes on. Returns the trace id.
fn check_headers(headers: &Headers, is_sampled: bool, flag: Option<&str>) -> String {
    let (sentry_trace, baggage) = (&headers["sentry-trace"], &headers["baggage"]);
    assert!(sentry_trace.ends_with(if is_sampled { "-1" } else { "-0" }), "{sentry_trace}");
    assert!(headers["traceparent"].ends_with(if is_sampled { "-01" } else { "-00" }), "{headers:?}");
    if flag.is_some() {
        assert!(baggage.contains("sentry-sample_rate=0.5") && baggage.contains("sentry-sample_rand=0.25"), "{baggage}");
    }
    sentry_trace.split('-').next().unwrap_or_default().to_owned()
}

/// Checks that a trace is whole: the spans of both ways, their parents, their logs, and the decision that came in.
fn check_trace(ingest: &LocalIngest, trace_id: &str, is_direct_first: bool, flag: Option<&str>) {
    let of_trace = |id: &str| id == trace_id;
    let spans: Vec<OtlpSpan> = ingest.otlp_spans().into_iter().filter(|span| of_trace(&span.trace_id)).collect();
    let span = |kind: &str| spans.iter().find(|span| span.kind == kind).expect("a span of each kind");
    let (server, client) = (span("server"), span("client"));
    let captured = ingest.captured();
    let mut transactions = captured.transactions.iter().filter(|transaction| of_trace(&transaction.trace_id));
    let [Some(direct), None]: [Option<&Transaction>; 2] = [transactions.next(), transactions.next()] else {
        panic!("one transaction of {trace_id}")
    };
    let browser = flag.map(|_| BROWSER_SPAN);
    let (first_parent, second_parent, call) = if is_direct_first {
        (direct.parent_span_id.as_deref(), server.parent_span_id.as_deref(), &direct.spans[0].span_id)
    } else {
        (server.parent_span_id.as_deref(), direct.parent_span_id.as_deref(), &client.span_id)
    };
    assert_eq!((first_parent, second_parent), (browser, Some(&call[..])));
    assert_eq!((spans.len(), client.parent_span_id.as_ref()), (2, Some(&server.span_id)));
    assert!(spans.iter().all(|span| span.attributes.keys().all(|key| !key.starts_with("sentry."))), "{spans:?}");
    let is_log =
        |log: &OtlpLog| log.trace_id.as_deref() == Some(trace_id) && log.span_id.as_ref() == Some(&server.span_id);
    assert_eq!(ingest.otlp_logs().into_iter().filter(is_log).count(), 1);
    assert_eq!(captured.logs.iter().filter(|log| log.span_id.as_ref() == Some(&direct.span_id)).count(), 1);
    let envelope =
        captured.envelopes.iter().find(|envelope| envelope.trace().is_some_and(|trace| trace["trace_id"] == trace_id));
    let trace = envelope.and_then(|envelope| envelope.trace().cloned()).expect("a header");
    assert_eq!(trace["sample_rate"], if flag.is_some() { "0.5" } else { "1" });
}
