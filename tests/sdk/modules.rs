//! How much of what the pages of Sentry's modules need arrives without code of the user: of the same `tracing` spans, here and
//! with `sentry-tracing`.

use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest};
use sentry::Hub;
use serde_json::Value;
use tracing::info_span;
use tracing_subscriber::prelude::*;

use crate::support::{PATIENCE, client_with, hub};

/// A module: what its spans are, as libraries make them by the conventions, and what its page needs of the first.
struct Module {
    name: &'static str,
    spans: fn(),
    op: &'static str,
    description: &'static str,
    needs: &'static [&'static str],
    /// How many of op, description and attributes arrive: here, and with `sentry-tracing`.
    arrive: [usize; 2],
}

const MODULES: [Module; 6] = [
    Module {
        name: "queries",
        spans: || {
            let _span = info_span!(
                "query",
                otel.kind = "client",
                db.system.name = "postgresql",
                db.query.text = "SELECT * FROM users",
                db.query.summary = "SELECT users",
                server.address = "db",
                server.port = 5432,
            )
            .entered();
        },
        op: "db",
        description: "SELECT * FROM users",
        needs: &["db.system.name", "db.query.text", "db.query.summary", "server.address", "server.port"],
        arrive: [7, 5],
    },
    Module {
        name: "caches",
        spans: || {
            let _span = info_span!(
                "cache",
                cache.operation = "get",
                cache.key = "user:42",
                cache.hit = true,
                cache.item_size = 58
            )
            .entered();
        },
        op: "cache.get",
        description: "user:42",
        needs: &["cache.operation", "cache.key", "cache.hit", "cache.item_size"],
        arrive: [6, 3],
    },
    Module {
        name: "queues",
        spans: || {
            let _span = info_span!(
                "process",
                otel.kind = "consumer",
                messaging.system = "kafka",
                messaging.operation.type = "process",
                messaging.destination.name = "orders",
                messaging.message.id = "m1",
                messaging.message.body.size = 512_u64,
            )
            .entered();
        },
        op: "queue.process",
        description: "process",
        needs: &[
            "messaging.system",
            "messaging.destination.name",
            "messaging.message.id",
            "messaging.message.body.size",
        ],
        arrive: [6, 5],
    },
    Module {
        name: "requests",
        spans: || {
            let _span = info_span!(
                "GET",
                otel.kind = "client",
                http.request.method = "GET",
                url.full = "https://api.example.com/v1/items",
                http.response.status_code = 200,
            )
            .entered();
        },
        op: "http.client",
        description: "GET https://api.example.com/v1/items",
        needs: &["http.request.method", "url.full", "server.address", "http.response.status_code"],
        arrive: [6, 3],
    },
    Module {
        name: "gen_ai",
        spans: || {
            let _span = info_span!(
                "chat",
                otel.kind = "client",
                gen_ai.operation.name = "chat",
                gen_ai.system = "openai",
                gen_ai.request.model = "gpt-4o",
                gen_ai.usage.prompt_tokens = 12,
                gen_ai.usage.completion_tokens = 5,
                gen_ai.request.messages = r#"[{"role":"user","content":"hi"}]"#,
            )
            .entered();
        },
        op: "gen_ai.chat",
        description: "chat gpt-4o",
        needs: &[
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.request.model",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.input.messages",
        ],
        arrive: [8, 2],
    },
    Module {
        name: "mcp",
        spans: || {
            let _span = info_span!(
                "mcp",
                otel.kind = "server",
                mcp.method.name = "tools/call",
                gen_ai.tool.name = "get_weather",
                mcp.session.id = "s1",
                jsonrpc.request.id = "7",
            )
            .entered();
        },
        op: "mcp.server",
        description: "tools/call get_weather",
        needs: &["mcp.method.name", "gen_ai.tool.name", "mcp.session.id", "jsonrpc.request.id"],
        arrive: [6, 4],
    },
];

impl Module {
    /// How much of what the page needs is in a span.
    fn count(&self, op: Option<&str>, description: Option<&str>, data: impl Fn(&str) -> Value) -> usize {
        let named = [(op, self.op), (description, self.description)];
        let keys = self.needs.iter().filter(|key| match data(key) {
            Value::Null => false,
            // A key is a list.
            Value::String(_) => **key != "cache.key",
            _ => true,
        });
        named.iter().filter(|(found, wanted)| *found == Some(wanted)).count() + keys.count()
    }

    fn here(&self) -> usize {
        let ingest = LocalIngest::start().expect("a free port");
        let sentry = Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).build().expect("a set-up");
        let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
        tracing::subscriber::with_default(subscriber, || info_span!("job").in_scope(self.spans));
        sentry.flush(PATIENCE).expect("a flush");
        if let Some(span) = ingest.spans().first() {
            let value = |key: &str| span["attributes"][key]["value"].clone();
            return self.count(value("sentry.op").as_str(), span["name"].as_str(), value);
        }
        self.in_transaction(&ingest)
    }

    fn with_sentry_tracing(&self) -> usize {
        let ingest = LocalIngest::start().expect("a free port");
        let client = client_with(&ingest, |options| options.traces_sample_rate(1.0));
        Hub::run(hub(&client), || {
            let subscriber = tracing_subscriber::registry().with(sentry::integrations::tracing::SpanLayer::new());
            tracing::subscriber::with_default(subscriber, || info_span!("job").in_scope(self.spans));
        });
        assert!(client.flush(Some(PATIENCE)));
        self.in_transaction(&ingest)
    }

    fn in_transaction(&self, ingest: &LocalIngest) -> usize {
        let sent = ingest.transactions();
        let span = &sent[0]["spans"][0];
        self.count(span["op"].as_str(), span["description"].as_str(), |key| span["data"][key].clone())
    }
}

#[test]
fn the_pages_of_modules_get_more_of_the_same_spans_than_with_sentry_tracing() {
    for module in MODULES {
        let arrive = [module.here(), module.with_sentry_tracing()];
        assert_eq!(arrive, module.arrive, "{} of {}", module.name, module.needs.len() + 2);
    }
}
