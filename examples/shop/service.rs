//! The `main` of every service: it sets up Sentry, serves until the process shall end, and delivers the last spans.
#![expect(clippy::print_stdout, reason = "the parent reads the service's URL and its report there")]

use std::{collections::BTreeMap, env, error::Error, io, thread, time::Duration};

use axum::Router;
use opentelemetry_sentry::{Problem, Sentry, Stats};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, signal, sync::oneshot};
use tokio_util::task::TaskTracker;
use tracing_subscriber::prelude::*;

/// How long the delivery of the last envelopes may take. Sentry's SDKs have the same default.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves `router` until the process shall end, and then waits for the tasks in the `background`.
///
/// The DSN comes from `SENTRY_DSN`, the environment from `SENTRY_ENVIRONMENT`, and the service's name from
/// `OTEL_SERVICE_NAME`.
pub(crate) async fn run(release: &'static str, router: Router, background: TaskTracker) -> Result<(), Box<dyn Error>> {
    let builder = Sentry::builder().with_release(release).with_traces_sample_rate(1.0);
    let sentry = builder.with_logs(true).with_metrics(true).install()?;
    tracing_subscriber::registry().with(sentry.tracing_layer()).with(sentry.log_layer()).init();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router).with_graceful_shutdown(end_requested()).await?;
    background.close();
    background.wait().await;

    let delivered = sentry.flush(SHUTDOWN_TIMEOUT);
    let stats = sentry.stats();
    let set_up = sentry.check();
    let ended = sentry.shutdown(SHUTDOWN_TIMEOUT);
    let report = Report::new(&stats, &set_up, delivered.and(ended).err().map(|error| error.to_string()));
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Waits for Ctrl-C or the end of standard input. The latter comes also when the parent process is killed.
pub(crate) async fn end_requested() {
    let (sender, stdin_closed) = oneshot::channel();
    // A thread: a runtime that shuts down would wait for a task that reads standard input.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = sender.send(()); // fails after Ctrl-C, when the receiver is gone
    });
    tokio::select! {
        _ = stdin_closed => {}
        _ = signal::ctrl_c() => {}
    }
}

/// A setting from the environment, by its name.
pub(crate) fn setting(name: &str) -> Result<String, Box<dyn Error>> {
    env::var(name).map_err(|error| format!("{name}: {error}").into())
}

/// The report on a service's spans: the last line of its standard output.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) spans_received: u64,
    pub(crate) spans_sent: u64,
    pub(crate) transactions_sent: u64,
    /// Spans that were dropped, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// The problems of its set-up, as sentences.
    pub(crate) set_up: Vec<String>,
    /// The error of the last flush or shutdown.
    pub(crate) problem: Option<String>,
}

impl Report {
    fn new(stats: &Stats, set_up: &[Problem], problem: Option<String>) -> Self {
        Self {
            spans_received: stats.spans_received,
            spans_sent: stats.spans_sent,
            transactions_sent: stats.transactions_sent,
            dropped: stats.dropped.iter().map(|(reason, dropped)| (reason.to_string(), dropped.spans)).collect(),
            set_up: set_up.iter().map(ToString::to_string).collect(),
            problem,
        }
    }

    /// Whether every span was sent.
    pub(crate) fn is_whole(&self) -> bool {
        self.spans_sent == self.spans_received && self.dropped.is_empty() && self.problem.is_none()
    }

    /// How many spans were sent, and why the others were not.
    pub(crate) fn summary(&self) -> String {
        let sent = format!("{} of {} were sent", self.spans_sent, self.spans_received);
        let dropped = self.dropped.iter().map(|(reason, spans)| format!("{spans} dropped: {reason}"));
        std::iter::once(sent).chain(dropped).chain(self.problem.clone()).collect::<Vec<_>>().join("; ")
    }
}
