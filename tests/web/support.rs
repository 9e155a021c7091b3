//! What the tests of this folder share: one installed `Sentry`, as a process has one global propagator.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, SystemTime},
};

use axum::Router;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceId, global,
    trace::{SpanBuilder, TraceContextExt, Tracer},
};
use opentelemetry_sdk::{
    Resource,
    trace::{InMemorySpanExporter, SimpleSpanProcessor, SpanData},
};
use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::net::TcpListener;
use tracing_subscriber::prelude::*;

/// Only a test that hangs waits this long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The parent span of all incoming traces.
pub(crate) const P: &str = "b0e6f15b45c36b12";

/// Names that the sampler drops if it is asked about them. Their traces have been decided, so it must not be.
const UNDECIDED: [&str; 3] = ["report", "send_confirmation", "serverAction/nested"];

/// An ingest, and a `Sentry` that sends everything to it.
pub(crate) struct Stage {
    pub(crate) ingest: LocalIngest,
    pub(crate) sentry: Sentry,
    ended: InMemorySpanExporter,
    asked: Arc<Mutex<Vec<Vec<KeyValue>>>>,
}

/// One event or transaction, with the `trace` header of its envelope.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) trace: Value,
    pub(crate) event: Value,
}

pub(crate) static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let ingest = LocalIngest::start().expect("a free port");
    let ended = InMemorySpanExporter::default();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let sentry = Sentry::builder()
        .with_dsn(ingest.dsn())
        .with_release("shop@1.2.3")
        .with_resource(Resource::builder_empty().build())
        .with_traces_sampler(move |asked| {
            noted.lock().expect("no panic").push(asked.attributes.to_vec());
            if UNDECIDED.contains(&&*asked.name) { 0.0 } else { asked.inherit_or_sample_with(1.0) }
        })
        .with_span_processor(SimpleSpanProcessor::new(ended.clone()))
        .with_exceptions_as_errors(true)
        .install()
        .expect("no other installed one");
    tracing_subscriber::registry().with(sentry.tracing_layer()).init();
    Stage { ingest, sentry, ended, asked }
});

impl Stage {
    /// Waits until at least `count` items of this type in this trace have arrived, and returns all of them.
    pub(crate) fn wait(&self, item_type: &str, trace_id: &str, count: usize) -> Vec<Sent> {
        let sent = || self.sent(item_type, trace_id);
        self.ingest.wait_until(PATIENCE, |_| sent().len() >= count).expect("they arrive");
        sent()
    }

    /// The only transaction of a trace.
    pub(crate) fn transaction(&self, trace_id: &str) -> Sent {
        let all = self.wait("transaction", trace_id, 1);
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }

    /// When a span of an event ended, as exactly as the SDK knows it.
    pub(crate) fn end_of(&self, span: &Value) -> SystemTime {
        self.ended(span).1
    }

    /// Whether the SDK handed out one span of an event after another one.
    pub(crate) fn is_after(&self, span: &Value, other: &Value) -> bool {
        self.ended(span).0 > self.ended(other).0
    }

    /// Whether all spans with this name in a trace have the mark by which the exporter leaves them out.
    pub(crate) fn is_kept_from_sentry(&self, trace_id: &str, name: &str) -> bool {
        let ended = self.ended.get_finished_spans().expect("no panic");
        let mut found = ended.iter().filter(|span| span.name == name);
        let is_marked = |span: &SpanData| span.attributes.iter().any(|one| one.key.as_str() == "sentry.not_sampled");
        found.all(|span| span.span_context.trace_id().to_string() != trace_id || is_marked(span))
    }

    fn ended(&self, span: &Value) -> (usize, SystemTime) {
        let ended = self.ended.get_finished_spans().expect("no panic");
        let is_it = |data: &SpanData| span["span_id"] == data.span_context.span_id().to_string();
        let place = ended.iter().position(is_it).expect("it has ended");
        (place, ended[place].end_time)
    }

    /// The attributes by which the sampler decided about the request with this path.
    pub(crate) fn asked_about(&self, path: &str) -> HashMap<String, opentelemetry::Value> {
        let asked = self.asked.lock().expect("no panic");
        let is_it = |attribute: &KeyValue| attribute.key.as_str() == "url.path" && attribute.value.as_str() == path;
        let attributes = asked.iter().find(|attributes| attributes.iter().any(is_it)).cloned().unwrap_or_default();
        attributes.into_iter().map(|attribute| (attribute.key.to_string(), attribute.value)).collect()
    }

    pub(crate) fn sent(&self, item_type: &str, trace_id: &str) -> Vec<Sent> {
        let mut sent = Vec::new();
        for envelope in self.ingest.envelopes() {
            let trace = envelope.trace().cloned().map_or(Value::Null, Value::Object);
            for item in envelope.items().iter().filter(|item| item.item_type() == item_type) {
                let event = item.json().expect("JSON");
                if event["contexts"]["trace"]["trace_id"] == trace_id {
                    sent.push(Sent { trace: trace.clone(), event });
                }
            }
        }
        sent
    }
}

impl Sent {
    pub(crate) fn context(&self) -> &Value {
        &self.event["contexts"]["trace"]
    }

    pub(crate) fn spans(&self) -> &[Value] {
        self.event["spans"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

/// A trace id that no other test uses.
pub(crate) fn new_trace() -> String {
    static LAST: Mutex<u64> = Mutex::new(0x7000);
    let mut last = LAST.lock().expect("no panic");
    *last += 1;
    format!("771a43a4192642f0{:016x}", *last)
}

/// The headers of a request that continues a trace.
pub(crate) fn headers(trace_id: &str, flag: &str) -> http::HeaderMap {
    let baggage =
        format!("sentry-trace_id={trace_id},sentry-public_key=up,sentry-sample_rand=0.25,sentry-release=web%401");
    let lines = [("sentry-trace", format!("{trace_id}-{P}{flag}")), ("baggage", baggage)];
    lines.into_iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
}

/// A context with a span that begins a trace here, and the trace's id.
pub(crate) fn root(name: &'static str) -> (Context, String) {
    let _ = &*STAGE;
    let span = global::tracer("test").build_with_context(SpanBuilder::from_name(name), &Context::new());
    let cx = Context::new().with_span(span);
    let trace_id = cx.span().span_context().trace_id().to_string();
    (cx, trace_id)
}

/// The trace headers of an outgoing request in the current context.
pub(crate) fn outgoing() -> HashMap<String, String> {
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&Context::current(), &mut headers));
    headers
}

pub(crate) fn active() -> (TraceId, SpanId) {
    Context::map_current(|cx| (cx.span().span_context().trace_id(), cx.span().span_context().span_id()))
}

/// Serves on a free port, and returns its URL.
pub(crate) async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client")
}
