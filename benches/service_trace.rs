//! A trace as services make them: 21 spans on four levels.
//!
//! | spans | | attributes as of |
//! | --- | --- | --- |
//! | 1 | the request that is served, a route of axum | `tower` middleware |
//! | 7 | functions, two of them within another one; three have two events each | `#[tracing::instrument]` |
//! | 10 | queries and commands, below the functions | `sqlx` |
//! | 3 | requests to other services, below the functions | `reqwest` middleware |
//!
//! Each has eight attributes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{Event, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanLinks},
};

/// Functions, in the file that they are in, by what called them: the request or the function in that place.
const FUNCTIONS: [(&str, &str, Option<usize>); 7] = [
    ("authenticate", "auth", None),
    ("load_cart", "cart", None),
    ("price_cart", "pricing", None),
    ("apply_vouchers", "pricing", Some(2)),
    ("reserve_stock", "stock", None),
    ("charge", "payment", None),
    ("confirm", "order", None),
];

/// Statements, and the function that runs them.
const STATEMENTS: [(&str, &str, &str, usize); 10] = [
    ("SELECT", "sessions", r#"SELECT id, user_id, expires_at FROM sessions WHERE id = $1 AND expires_at > now()"#, 0),
    ("SELECT", "carts", r#"SELECT "carts"."id", "carts"."user_id", "carts"."currency" FROM "carts" WHERE id = $1"#, 1),
    ("SELECT", "cart_items", "SELECT sku, quantity, unit_price FROM cart_items WHERE cart_id = $1 ORDER BY id", 1),
    ("SELECT", "prices", "SELECT sku, amount, valid_until FROM prices WHERE sku = ANY($1) AND currency = $2", 2),
    ("SELECT", "vouchers", "SELECT code, percent FROM vouchers WHERE code = $1 AND used_at IS NULL", 3),
    ("UPDATE", "stock", "UPDATE stock SET reserved = reserved + $1 WHERE sku = $2 AND available - reserved >= $1", 4),
    ("UPDATE", "stock", "UPDATE stock SET reserved = reserved + $1 WHERE sku = $2 AND available - reserved >= $1", 4),
    ("INSERT", "payments", "INSERT INTO payments (cart_id, amount, state) VALUES ($1, $2, 'open') RETURNING id", 5),
    ("INSERT", "orders", "INSERT INTO orders\n  (cart_id, user_id, total)\nVALUES ($1, $2, $3)\nRETURNING id", 6),
    ("DELETE", "carts", "DELETE FROM carts WHERE id = $1", 6),
];

/// Requests to other services, and the function that makes them.
const REQUESTS: [(&str, &str, &str, usize); 3] = [
    ("GET", "pricing.internal", "https://pricing.internal/v2/prices?currency=EUR&sku=4711", 2),
    ("POST", "api.payments.example.com", "https://api.payments.example.com/v1/charges", 5),
    ("POST", "mail.internal", "https://mail.internal/v1/messages", 6),
];

/// Those functions that say something on the way.
const TALKATIVE: [usize; 3] = [0, 4, 5];

/// The spans, the root first.
pub(crate) fn spans() -> Vec<SpanData> {
    let mut spans = vec![span(1, 0, "POST /carts/{id}/checkout", SpanKind::Server, served().into())];
    let id_of_function = |place: usize| 2 + place as u64;
    for (place, (name, file, caller)) in FUNCTIONS.into_iter().enumerate() {
        let parent = caller.map_or(1, id_of_function);
        let mut span = span(id_of_function(place), parent, name, SpanKind::Internal, function(file).into());
        if TALKATIVE.contains(&place) {
            span.events.events = vec![event("cache miss"), event("done, will continue")];
        }
        spans.push(span);
    }
    for (operation, table, statement, function) in STATEMENTS {
        let id = 1 + spans.len() as u64;
        let attributes = query(operation, table, statement).into();
        spans.push(span(id, id_of_function(function), "sqlx::query", SpanKind::Client, attributes));
    }
    for (method, host, url, function) in REQUESTS {
        let id = 1 + spans.len() as u64;
        let attributes = request(method, host, url).into();
        spans.push(span(id, id_of_function(function), method, SpanKind::Client, attributes));
    }
    spans
}

/// What the process says of itself.
pub(crate) fn resource() -> Resource {
    let attributes = [
        ("deployment.environment.name", "production"),
        ("service.name", "shop"),
        ("service.version", "1.2.3"),
        ("host.name", "shop-7d9c5b6f4-x2x7k"),
        ("os.type", "linux"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.version", "0.33.1"),
    ];
    let attributes = attributes.map(|(key, value)| KeyValue::new(key, value));
    Resource::builder_empty().with_attributes(attributes).build()
}

fn served() -> [KeyValue; 8] {
    [
        KeyValue::new("http.request.method", text("POST")),
        KeyValue::new("http.route", text("/carts/{id}/checkout")),
        KeyValue::new("url.path", text("/carts/8713/checkout")),
        KeyValue::new("url.scheme", text("https")),
        KeyValue::new("server.address", text("shop.example.com")),
        KeyValue::new("user_agent.original", text("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")),
        KeyValue::new("network.protocol.version", text("2")),
        KeyValue::new("http.response.status_code", 201),
    ]
}

fn function(file: &str) -> [KeyValue; 8] {
    [
        KeyValue::new("code.file.path", text(&format!("src/checkout/{file}.rs"))),
        KeyValue::new("code.module.name", text(&format!("shop::checkout::{file}"))),
        KeyValue::new("code.line.number", 42),
        KeyValue::new("thread.id", 7),
        KeyValue::new("thread.name", text("tokio-runtime-worker")),
        KeyValue::new("cart.id", 8713),
        KeyValue::new("busy_ns", 48_211),
        KeyValue::new("idle_ns", 3_204_877),
    ]
}

fn query(operation: &'static str, table: &'static str, statement: &'static str) -> [KeyValue; 8] {
    [
        KeyValue::new("db.system.name", text("postgresql")),
        KeyValue::new("db.namespace", text("shop")),
        KeyValue::new("db.operation.name", text(operation)),
        KeyValue::new("db.collection.name", text(table)),
        KeyValue::new("db.query.text", text(statement)),
        KeyValue::new("db.response.returned_rows", 3),
        KeyValue::new("server.address", text("postgres.internal")),
        KeyValue::new("server.port", 5432),
    ]
}

fn request(method: &'static str, host: &'static str, url: &'static str) -> [KeyValue; 8] {
    [
        KeyValue::new("http.request.method", text(method)),
        KeyValue::new("url.scheme", text("https")),
        KeyValue::new("url.full", text(url)),
        KeyValue::new("server.address", text(host)),
        KeyValue::new("server.port", 443),
        KeyValue::new("user_agent.original", text("shop/1.2.3")),
        KeyValue::new("http.request.body.size", 412),
        KeyValue::new("http.response.status_code", 200),
    ]
}

fn event(name: &'static str) -> Event {
    let attributes = vec![KeyValue::new("level", "INFO"), KeyValue::new("target", "shop::checkout")];
    Event::new(name, UNIX_EPOCH, attributes, 0)
}

/// A text on the heap, as `tracing` hands them over.
fn text(text: &str) -> Value {
    Value::from(text.to_owned())
}

fn span(id: u64, parent: u64, name: &str, kind: SpanKind, attributes: Vec<KeyValue>) -> SpanData {
    let context = SpanContext::new(
        TraceId::from(0x771a_43a4_1926_42f0_b136_d515_9a50_1700),
        SpanId::from(0x7c7c_2e6c_5e1c_4b00 + id),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let start_time: SystemTime =
        UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789) + Duration::from_micros(id * 731);
    SpanData {
        span_context: context,
        parent_span_id: if parent == 0 { SpanId::INVALID } else { SpanId::from(0x7c7c_2e6c_5e1c_4b00 + parent) },
        parent_span_is_remote: false,
        span_kind: kind,
        name: name.to_owned().into(),
        start_time,
        end_time: start_time + Duration::from_micros(41_337 / id),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("shop").build(),
    }
}
