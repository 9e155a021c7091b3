//! Runs libraries that make spans of modules by themselves, and checks what arrives: rig against a model that is simulated,
//! and async-graphql.

mod graph;
mod model;

use std::{error::Error, time::Duration};

use opentelemetry_sentry::{Sentry, TraceLifecycle, exporter::testing::LocalIngest};
use tracing::{Instrument, info_span};
use tracing_subscriber::prelude::*;

type Failure = Box<dyn Error + Send + Sync>;

/// Only a run that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Does some work in a request, and returns the ingest with what was sent.
async fn sent(
    lifecycle: TraceLifecycle,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<LocalIngest, Failure> {
    let ingest = LocalIngest::start()?;
    let sentry =
        Sentry::builder().with_dsn(ingest.dsn()).with_traces_sample_rate(1.0).with_lifecycle(lifecycle).build()?;
    let _default = tracing_subscriber::registry().with(sentry.tracing_layer()).set_default();
    let request = info_span!("request", otel.kind = "server", http.request.method = "POST", http.route = "/ask",);
    work.instrument(request).await?;
    sentry.flush(PATIENCE)?;
    Ok(ingest)
}

/// One current thread, because the subscriber is that of this thread.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut claims = model::claims().await?;
    claims.extend(graph::claims().await?);
    let wrong: Vec<_> = claims.iter().filter(|(_, holds)| !holds).map(|(claim, _)| claim).collect();
    for claim in &wrong {
        println!("WRONG {claim}");
    }
    println!(
        "modules: {} claims about rig 0.44 and async-graphql 7: {}",
        claims.len(),
        if wrong.is_empty() { "ok" } else { "BAD" }
    );
    if wrong.is_empty() { Ok(()) } else { Err(format!("{} claims do not hold", wrong.len()).into()) }
}

/// What should be so, and whether it is.
type Claim = (String, bool);

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Claim {
    let holds = found == wanted;
    (if holds { what.to_owned() } else { format!("{what}: found {found:?}, wanted {wanted:?}") }, holds)
}
