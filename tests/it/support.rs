//! What the tests of this folder share.

use std::{
    collections::{BTreeMap, HashMap},
    env, fmt,
    pin::Pin,
    process::Command,
    sync::Mutex,
    time::Duration,
};

use opentelemetry::{
    SpanId, TraceId,
    propagation::Extractor,
    trace::{Tracer, TracerProvider},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::{Resource, trace::IdGenerator};
use opentelemetry_sentry::{
    Sentry, SentryBuilder, Stats,
    exporter::{
        DropReason,
        testing::{Envelope, LocalIngest},
    },
};

/// Long enough for a busy machine; nothing here waits for it unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An ingest, and a builder that sends everything there.
pub(crate) fn sentry_to_ingest() -> (LocalIngest, SentryBuilder) {
    let ingest = LocalIngest::start().expect("a free port");
    let builder = Sentry::builder().with_dsn(ingest.dsn()).with_resource(Resource::builder_empty().build());
    (ingest, builder.with_release("shop@1.2.3").with_traces_sample_rate(1.0))
}

/// Makes so many traces of one span.
pub(crate) fn end_spans(sentry: &Sentry, count: usize) {
    let tracer = sentry.tracer_provider().tracer("test");
    for _ in 0..count {
        tracer.start("work");
    }
}

/// What was dropped, when all is accounted for.
pub(crate) fn dropped(stats: &Stats) -> BTreeMap<DropReason, u64> {
    assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped() + stats.spans_spooled, "{stats}");
    stats.dropped.iter().map(|(reason, dropped)| (*reason, dropped.spans)).collect()
}

/// All that client reports told: reason and category to quantity.
pub(crate) fn reported(envelopes: &[Envelope]) -> BTreeMap<(String, String), u64> {
    let items = envelopes.iter().flat_map(Envelope::items).filter(|item| item.item_type() == "client_report");
    let mut all = BTreeMap::new();
    for report in items.map(|item| item.json().expect("JSON")) {
        for event in report["discarded_events"].as_array().expect("a list") {
            let text = |key: &str| event[key].as_str().expect("a text").to_owned();
            *all.entry((text("reason"), text("category"))).or_default() +=
                event["quantity"].as_u64().expect("a number");
        }
    }
    all
}

/// An entry of what [`reported`] returns.
pub(crate) fn pair(reason: &str, category: &str, quantity: u64) -> ((String, String), u64) {
    ((reason.to_owned(), category.to_owned()), quantity)
}

/// Runs an ignored test of this binary in a process of its own, without the proxies of this one.
pub(crate) fn run_alone(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(env::current_exe().expect("a file"));
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let output = command.envs(variables.iter().copied()).output().expect("a process");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{test} with {variables:?}:\n{out}\n{err}");
}

/// What an HTTP client answers, some time.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send>>;

/// An HTTP client that is a function.
pub(crate) struct Client<F>(pub(crate) F);

impl<F> fmt::Debug for Client<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl<F: Fn(Request<Bytes>) -> Answering + Send + Sync> HttpClient for Client<F> {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        (self.0)(request)
    }
}

/// Headers with several lines of a name, as a request has them.
#[derive(Debug, Default)]
pub(crate) struct Headers(pub(crate) HashMap<String, Vec<String>>);

impl Headers {
    pub(crate) fn new<const N: usize>(lines: [(&str, &str); N]) -> Self {
        Self(lines.into_iter().map(|(name, line)| (name.to_owned(), vec![line.to_owned()])).collect())
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        Some(self.0.get(key)?.iter().map(String::as_str).collect())
    }
}

/// Gives trace ids that a test chose, and counts span ids.
#[derive(Debug)]
pub(crate) struct Ids {
    pub(crate) trace_id: TraceId,
    pub(crate) last_span: Mutex<u64>,
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.trace_id
    }

    fn new_span_id(&self) -> SpanId {
        let mut last = self.last_span.lock().expect("no panic");
        *last += 1;
        SpanId::from_bytes(last.to_be_bytes())
    }
}
