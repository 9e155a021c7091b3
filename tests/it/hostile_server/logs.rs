//! Whatever fails, the credentials are in no log, error or debug output.

use std::{
    fmt::{self, Write},
    net::TcpListener,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry_sentry::{Sentry, exporter::SentryExporter};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use super::SHORT;
use crate::{
    raw_server::{RawServer, Then},
    support::{end_spans, run_alone, sentry_at},
};

const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const SECRET: &str = "c0ffee11c0ffee22c0ffee33c0ffee44";

/// Everything that was logged, in one text.
static LOG: Mutex<String> = Mutex::new(String::new());

fn log() -> MutexGuard<'static, String> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes down everything that goes through `tracing` and `log`.
struct Everything;

impl<S: Subscriber> Layer<S> for Everything {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        attributes.record(&mut Fields(attributes.metadata().name()));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Fields("record"));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Fields(event.metadata().name()));
    }
}

struct Fields(&'static str);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = writeln!(log(), "{} {field}={value:?}", self.0); // writing to memory does not fail
    }
}

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let _ = writeln!(log(), "{} {}", record.target(), record.args()); // writing to memory does not fail
    }

    fn flush(&self) {}
}

#[test]
#[ignore = "the child of the test below, as it sets the global subscriber"]
fn fails_in_many_ways() {
    tracing_subscriber::registry().with(Everything).init();
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let no_server = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).unwrap();
    let refusal = "HTTP/1.1 403 No\r\nx-sentry-error: unknown key\r\ncontent-length: 0\r\n\r\n";
    let redirect = "HTTP/1.1 302 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let servers = [(refusal, Then::Close), (redirect, Then::Close), ("junk", Then::Close), ("", Then::Hold)];
    let servers = servers.map(|(text, then)| RawServer::saying(text, then));
    let addresses = servers.iter().map(RawServer::address).chain([no_server]);
    let hosts = addresses.flat_map(|address| ["http", "https"].map(|scheme| (scheme, address.to_string())));
    for (scheme, host) in hosts.chain([("http", "does-not-exist.invalid".to_owned())]) {
        let dsn = format!("{scheme}://{KEY}:{SECRET}@{host}/1");
        let builder = sentry_at(dsn.as_str());
        let _ = writeln!(log(), "debug print: {builder:?}");
        let sentry = builder.build().unwrap();
        let exporter = SentryExporter::builder().with_dsn(dsn.as_str());
        let _ = writeln!(log(), "debug print: {exporter:?}");
        end_spans(&sentry, 1);
        let flushed = sentry.flush(SHORT);
        let _ = writeln!(log(), "debug print: {sentry:?} {flushed:?} {}", sentry.stats());
        drop(sentry.shutdown(SHORT));
    }
    // An invalid DSN may have credentials, too.
    for dsn in [
        format!("http://{KEY}:{SECRET}@host"),
        format!("http://{KEY}:{SECRET}@host:99999/1"),
        format!("{KEY}:{SECRET}"),
    ] {
        let error = Sentry::builder().with_dsn(dsn.as_str()).build().map(drop).unwrap_err();
        let _ = writeln!(log(), "no DSN: {error} {error:?}");
    }
    // So that what is logged when connections close is in the log, too.
    drop(servers);
    let log = log();
    for expected in ["SentryExporter.RequestFailed", "SentryExporter.Refused", "unknown key", "debug print", "no DSN"] {
        assert!(log.contains(expected), "{expected} is missing in {log}");
    }
    for line in log.lines() {
        assert!(!line.contains(SECRET), "{line}");
        // In debug output and errors the public key shows a developer which project it is.
        let is_for_developers = line.starts_with("debug print") || line.starts_with("no DSN");
        assert!(is_for_developers || !line.contains(KEY), "{line}");
        assert!(!line.contains("sentry_key"), "{line}");
    }
}

#[test]
fn credentials_are_in_no_log_and_no_debug_output() {
    run_alone("hostile_server::logs::fails_in_many_ways", &[]);
}
