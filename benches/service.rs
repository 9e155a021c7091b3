//! The trace of one request, made through OpenTelemetry's API or through `tracing`.
//!
//! It has 21 spans: the server's, and below it on three levels 10 queries, 3 requests to other services and 7 functions.
//! Each span has 8 attributes, one of which is set at its end; 3 spans have 2 events. The wide trace has the server's span
//! and 1000 queries below it.
//!
//! `peers` compiles this file with two versions of OpenTelemetry.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::field::Empty;

/// The number of spans of one trace.
pub const SPANS: usize = 21;

/// The number of spans of the wide trace.
pub const WIDE_SPANS: usize = 1001;

/// The library through which the spans are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// OpenTelemetry's API, with explicit contexts.
    Api,
    /// `tracing`, with the default subscriber.
    Tracing,
}

impl Through {
    /// Both, with the names in commands and results.
    pub const ALL: [(&'static str, Self); 2] = [("api", Self::Api), ("tracing", Self::Tracing)];

    /// Makes one trace.
    pub fn make_trace(self, tracer: &SdkTracer) {
        match self {
            Self::Api => end(&REQUEST, &begin(tracer)),
            Self::Tracing => trace(&REQUEST),
        }
    }
}

/// Makes one trace through the API, and leaves its root open.
#[must_use]
pub fn begin(tracer: &SdkTracer) -> Context {
    start(tracer, &REQUEST, &Context::new())
}

/// Ends the root that [`begin`] left open.
pub fn end_root(cx: &Context) {
    end(&REQUEST, cx);
}

/// Makes the wide trace through the API.
pub fn make_wide_trace(tracer: &SdkTracer) {
    let root = open(tracer, &REQUEST, &Context::new());
    for _ in 1..WIDE_SPANS {
        end(&ROW, &open(tracer, &ROW, &root));
    }
    end(&REQUEST, &root);
}

/// Makes traces through the API that are open at the same time: each step begins in all of them before the next step
/// begins in one. Calls `ended` after the end of each trace.
pub fn make_traces_in_lockstep(tracer: &SdkTracer, traces: usize, mut ended: impl FnMut()) {
    let roots = start_in_lockstep(tracer, &REQUEST, &vec![Context::new(); traces]);
    for root in &roots {
        end(&REQUEST, root);
        ended();
    }
}

fn start_in_lockstep(tracer: &SdkTracer, step: &Step, parents: &[Context]) -> Vec<Context> {
    let opened: Vec<_> = parents.iter().map(|parent| open(tracer, step, parent)).collect();
    for child in step.children {
        start_in_lockstep(tracer, child, &opened).iter().for_each(|cx| end(child, cx));
    }
    opened
}

/// Starts a span, with everything below it.
fn start(tracer: &SdkTracer, step: &Step, parent: &Context) -> Context {
    let cx = open(tracer, step, parent);
    for child in step.children {
        end(child, &start(tracer, child, &cx));
    }
    cx
}

fn open(tracer: &SdkTracer, step: &Step, parent: &Context) -> Context {
    let builder = tracer.span_builder(step.name).with_kind(step.work.kind()).with_attributes(step.work.attributes());
    parent.with_span(builder.start_with_context(tracer, parent))
}

fn end(step: &Step, cx: &Context) {
    let span = cx.span();
    if step.has_events {
        span.add_event("cache miss", vec![KeyValue::new("cache.key", "order:4711")]);
        span.add_event("stored", vec![KeyValue::new("cache.ttl", 60)]);
    }
    span.set_attribute(step.work.outcome());
    span.end();
}

fn trace(step: &Step) {
    let span = step.work.span(step.name);
    let _entered = span.enter();
    step.children.iter().for_each(trace);
    if step.has_events {
        tracing::info!(cache.key = "order:4711", "cache miss");
        tracing::info!(cache.ttl = 60, "stored");
    }
    span.record(step.work.outcome_key(), step.work.outcome_value());
}

/// One span and those below it.
#[derive(Debug)]
struct Step {
    name: &'static str,
    work: Work,
    has_events: bool,
    children: &'static [Self],
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Server,
    Query,
    Request,
    Function,
}

impl Work {
    const fn kind(self) -> SpanKind {
        match self {
            Self::Server => SpanKind::Server,
            Self::Query | Self::Request => SpanKind::Client,
            Self::Function => SpanKind::Internal,
        }
    }

    fn attributes(self) -> Vec<KeyValue> {
        match self {
            Self::Server => vec![
                KeyValue::new("http.request.method", "GET"),
                KeyValue::new("http.route", "/orders/{id}"),
                KeyValue::new("url.path", "/orders/4711".to_owned()),
                KeyValue::new("url.scheme", "https"),
                KeyValue::new("server.address", "shop.example.com"),
                KeyValue::new("server.port", 443),
                KeyValue::new("network.protocol.version", "1.1"),
            ],
            Self::Query => vec![
                KeyValue::new("db.system.name", "postgresql"),
                KeyValue::new("db.namespace", "shop"),
                KeyValue::new("db.operation.name", "SELECT"),
                KeyValue::new("db.collection.name", "orders"),
                KeyValue::new("db.query.text", QUERY),
                KeyValue::new("server.address", "db.internal"),
                KeyValue::new("server.port", 5432),
            ],
            Self::Request => vec![
                KeyValue::new("http.request.method", "GET"),
                KeyValue::new("url.full", URL.to_owned()),
                KeyValue::new("url.scheme", "http"),
                KeyValue::new("server.address", "stock.internal"),
                KeyValue::new("server.port", 8080),
                KeyValue::new("network.protocol.version", "1.1"),
                KeyValue::new("user_agent.original", "shop/1.2.3"),
            ],
            Self::Function => vec![
                KeyValue::new("code.function.name", "shop::orders::load"),
                KeyValue::new("code.file.path", "src/orders.rs"),
                KeyValue::new("code.line.number", 42),
                KeyValue::new("order.id", 4711),
                KeyValue::new("order.express", true),
                KeyValue::new("order.total", 59.9),
                KeyValue::new("tenant", "acme"),
            ],
        }
    }

    /// A span of `tracing` with the same attributes and kind.
    fn span(self, name: &'static str) -> tracing::Span {
        match self {
            Self::Server => server(name),
            Self::Query => query(name),
            Self::Request => request(name),
            Self::Function => function(),
        }
    }

    fn outcome(self) -> KeyValue {
        KeyValue::new(self.outcome_key(), self.outcome_value())
    }

    const fn outcome_key(self) -> &'static str {
        match self {
            Self::Server | Self::Request => "http.response.status_code",
            Self::Query => "db.response.returned_rows",
            Self::Function => "order.items",
        }
    }

    const fn outcome_value(self) -> i64 {
        match self {
            Self::Server | Self::Request => 200,
            Self::Query => 12,
            Self::Function => 3,
        }
    }
}

fn server(name: &'static str) -> tracing::Span {
    tracing::info_span!(
        "server",
        otel.name = name,
        otel.kind = "server",
        http.request.method = "GET",
        http.route = "/orders/{id}",
        url.path = "/orders/4711",
        url.scheme = "https",
        server.address = "shop.example.com",
        server.port = 443,
        network.protocol.version = "1.1",
        http.response.status_code = Empty,
    )
}

fn query(name: &'static str) -> tracing::Span {
    tracing::info_span!(
        "query",
        otel.name = name,
        otel.kind = "client",
        db.system.name = "postgresql",
        db.namespace = "shop",
        db.operation.name = "SELECT",
        db.collection.name = "orders",
        db.query.text = QUERY,
        server.address = "db.internal",
        server.port = 5432,
        db.response.returned_rows = Empty,
    )
}

fn request(name: &'static str) -> tracing::Span {
    tracing::info_span!(
        "request",
        otel.name = name,
        otel.kind = "client",
        http.request.method = "GET",
        url.full = URL,
        url.scheme = "http",
        server.address = "stock.internal",
        server.port = 8080,
        network.protocol.version = "1.1",
        user_agent.original = "shop/1.2.3",
        http.response.status_code = Empty,
    )
}

fn function() -> tracing::Span {
    tracing::info_span!(
        "function",
        code.function.name = "shop::orders::load",
        code.file.path = "src/orders.rs",
        code.line.number = 42,
        order.id = 4711,
        order.express = true,
        order.total = 59.9,
        tenant = "acme",
        order.items = Empty,
    )
}

const QUERY: &str = "SELECT id, sku, amount, price FROM orders WHERE id = $1 AND tenant = $2";
const URL: &str = "http://stock.internal:8080/items?sku=lamp&amount=2";

const fn step(work: Work, name: &'static str, children: &'static [Step]) -> Step {
    Step { name, work, has_events: false, children }
}

const fn with_events(step: Step) -> Step {
    Step { has_events: true, ..step }
}

static ROW: Step = step(Work::Query, "SELECT items", &[]);

static REQUEST: Step = with_events(step(
    Work::Server,
    "GET /orders/{id}",
    &[
        step(
            Work::Function,
            "authorize",
            &[step(Work::Query, "SELECT sessions", &[]), step(Work::Request, "GET tokens", &[])],
        ),
        step(
            Work::Function,
            "load",
            &[
                with_events(step(
                    Work::Function,
                    "hydrate",
                    &[
                        step(Work::Query, "SELECT items", &[]),
                        step(Work::Query, "SELECT prices", &[]),
                        step(Work::Query, "SELECT taxes", &[]),
                    ],
                )),
                step(Work::Query, "SELECT orders", &[]),
                step(Work::Query, "SELECT customers", &[]),
            ],
        ),
        step(
            Work::Function,
            "price",
            &[
                step(
                    Work::Function,
                    "rules",
                    &[step(Work::Query, "SELECT rules", &[]), step(Work::Query, "SELECT vouchers", &[])],
                ),
                step(Work::Request, "GET rates", &[]),
            ],
        ),
        with_events(step(
            Work::Function,
            "reserve",
            &[
                step(Work::Query, "SELECT stock", &[]),
                step(Work::Query, "UPDATE stock", &[]),
                step(Work::Request, "GET items", &[]),
            ],
        )),
        step(Work::Function, "render", &[]),
    ],
));
