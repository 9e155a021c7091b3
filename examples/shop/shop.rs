//! The steps: start the services, send requests, show the traces, check them.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::ExitCode,
    sync::Arc,
    thread,
    time::Duration,
};

use opentelemetry_sentry::{
    exporter::testing::{LocalIngest, Metric},
    protocol::Dsn,
};
use tokio::task::block_in_place;

use crate::{
    browser::{self, Answer, Visit},
    judge::{self, Check, Seen},
    paint::{Colour, Paint},
    process::Process,
    service::{self, Report},
    trace::{self, Transaction},
    waterfall,
};

/// How long to wait for the transactions of a request. A busy machine takes much less.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends each kind of request once. Succeeds if all checks pass.
pub(crate) async fn visit() -> ExitCode {
    match Shop::open().await {
        Ok(shop) => shop.visit().await,
        Err(error) => fail(&error),
    }
}

/// Serves requests from outside. Succeeds if every span was delivered.
pub(crate) async fn serve() -> ExitCode {
    match Shop::open().await {
        Ok(shop) => shop.serve().await,
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("shop: {error}");
    ExitCode::FAILURE
}

struct Shop {
    /// The ingest to which the services send, unless `SENTRY_DSN` is set.
    ingest: Option<Arc<LocalIngest>>,
    dsn: Dsn,
    gateway: Process,
    inventory: Process,
    paint: Paint,
}

impl Shop {
    async fn open() -> Result<Self, String> {
        let (ingest, dsn) = match variable("SENTRY_DSN") {
            Some(dsn) => (None, dsn),
            None => {
                let ingest = LocalIngest::start().map_err(|error| format!("no ingest: {error}"))?;
                let dsn = ingest.dsn();
                (Some(Arc::new(ingest)), dsn)
            }
        };
        let environment = variable("SENTRY_ENVIRONMENT").unwrap_or_else(|| "demo".to_owned());
        // The services call each other on this machine, without a proxy.
        let no_proxy = variable("NO_PROXY").map_or("127.0.0.1".to_owned(), |hosts| format!("{hosts},127.0.0.1"));
        let common = [("SENTRY_DSN", &*dsn), ("SENTRY_ENVIRONMENT", &environment), ("NO_PROXY", &no_proxy)];
        let dsn = dsn.parse().map_err(|error| format!("SENTRY_DSN: {error}"))?;
        let inventory = Process::start("inventory", &common).await?;
        let variables = [&common[..], &[("INVENTORY_URL", inventory.url())]].concat();
        let gateway = Process::start("gateway", &variables).await?;
        let shop = Self { ingest, dsn, gateway, inventory, paint: Paint::for_stdout() };
        shop.introduce();
        Ok(shop)
    }

    fn introduce(&self) {
        for process in [&self.gateway, &self.inventory] {
            println!("{:<10} {}  (process {})", process.role(), process.url(), process.id().unwrap_or_default());
        }
        let host = format!("{}:{}", self.dsn.host(), self.dsn.port());
        match self.ingest {
            Some(_) => println!("ingest     http://{host}  (embedded; set SENTRY_DSN to send to Sentry)"),
            None => println!("ingest     {host}, project {}  (from SENTRY_DSN)", self.dsn.project_id()),
        }
        if let Some(spotlight) = variable("SENTRY_SPOTLIGHT") {
            println!("spotlight  a copy, since SENTRY_SPOTLIGHT is {spotlight:?}");
        }
    }

    async fn visit(self) -> ExitCode {
        // The gateway is on this machine, so no proxy is used. Redirects are not followed.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = match client.build() {
            Ok(client) => client,
            Err(error) => return fail(&format!("no HTTP client: {error}")),
        };
        let mut visits = Vec::new();
        for visit in browser::visits(self.dsn.public_key()) {
            let answer = visit.send(&client, self.gateway.url()).await.map_err(|error| error.to_string());
            visits.push((visit, answer));
        }
        let (paint, ingest) = (self.paint, self.ingest.clone());
        // Log lines leave within five seconds, or when their service ends.
        let reports = self.close().await;
        visits.iter().for_each(|(visit, answer)| show(ingest.as_deref(), paint, visit, answer));
        let services = check(&reports, paint);
        let metrics = ingest.as_deref().map(|ingest| show_metrics(ingest, paint));
        let mut parts = match &ingest {
            Some(ingest) => judge_visits(visits, &trace::transactions(&ingest.envelopes())),
            None => {
                println!("\nThis program cannot check what arrived there. Look for these traces in Sentry:");
                visits.iter().for_each(|(visit, _)| println!("  {}  {}", visit.trace_id, visit.kind.title()));
                Vec::new()
            }
        };
        parts.push(("The services", services));
        parts.extend(metrics.map(|checks| ("The metrics", checks)));
        verdict(&parts, ingest.is_some(), paint)
    }

    async fn serve(self) -> ExitCode {
        for visit in browser::visits(self.dsn.public_key()) {
            let title = self.paint.paint(Colour::Bold, visit.kind.title());
            println!("\n{title}\n  {}", visit.as_curl(self.gateway.url()));
        }
        println!("\nServing until Ctrl-C or the end of standard input.");
        if let Some(ingest) = self.ingest.clone() {
            let paint = self.paint;
            thread::spawn(move || show_all(&ingest, paint));
        }
        service::end_requested().await;
        let paint = self.paint;
        let reports = self.close().await;
        verdict(&[("The services", check(&reports, paint))], false, paint)
    }

    /// Ends the services, the gateway first, and reads their reports.
    async fn close(self) -> Reports {
        [("gateway", self.gateway.stop().await), ("inventory", self.inventory.stop().await)]
    }
}

type Reports = [(&'static str, Result<Report, String>); 2];

/// Prints and checks the reports of the services.
fn check(reports: &Reports, paint: Paint) -> Vec<Check> {
    println!("\n{}", waterfall::title("The services' statistics", paint));
    println!(
        "{:<12} {:>15} {:>12} {:>14} {:>19}",
        "", "spans received", "spans sent", "spans dropped", "transactions sent"
    );
    for (service, report) in reports {
        match report {
            Ok(report) => {
                let Report { spans_received, spans_sent, transactions_sent, dropped, .. } = report;
                let lost: u64 = dropped.values().sum();
                println!("{service:<12} {spans_received:>15} {spans_sent:>12} {lost:>14} {transactions_sent:>19}");
            }
            Err(_) => println!("{service:<12} {:>15}", "no report"),
        }
    }
    for (service, report) in reports {
        match report.as_ref().map_or(&[][..], |report| &report.set_up) {
            [] => println!("{service}: the set-up has no problem"),
            problems => problems.iter().for_each(|problem| println!("{service}: {problem}")),
        }
    }
    reports.iter().map(|(service, report)| judge::judge_report(service, report)).collect()
}

/// Prints and checks what the services have measured.
fn show_metrics(ingest: &LocalIngest, paint: Paint) -> Vec<Check> {
    println!("\n{}", waterfall::title("The services' metrics", paint));
    let mut sorted = ingest.metrics();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for Metric { name, metric_type, value, unit, attributes, trace_id, .. } in &sorted {
        let from = attributes.get("from").and_then(|from| from.as_str()).unwrap_or_default();
        let unit = unit.as_deref().unwrap_or_default();
        println!("{name:<20} {metric_type:<13} {value:>9.2} {unit:<12} {from:<5} trace {trace_id}");
    }
    let of = |name: &'static str| sorted.iter().filter(move |metric| metric.name == name);
    let orders: f64 = of("orders").map(|metric| metric.value).sum();
    let latencies = of("inventory.duration").count();
    let in_spans = of("inventory.duration").filter(|metric| metric.span_id.is_some()).count();
    vec![
        Check::equal("each order is counted once", orders, &2.0),
        Check::equal("each latency belongs to the span that waited", (in_spans, latencies > 0), &(latencies, true)),
    ]
}

/// Prints a trace when it is complete, or its spans so far after a timeout.
fn show(ingest: Option<&LocalIngest>, paint: Paint, visit: &Visit, answer: &Result<Answer, String>) {
    let (method, path) = visit.kind.request();
    println!("\n{}", waterfall::title(&format!("{}: {method} {path}", visit.kind.title()), paint));
    match answer {
        Ok(answer) => println!("trace {}, answer {}", visit.trace_id, answer.status),
        Err(error) => println!("trace {}, no answer: {error}", visit.trace_id),
    }
    let Some(ingest) = ingest else { return };
    let trace = || in_trace(&trace::transactions(&ingest.envelopes()), &visit.trace_id);
    let as_expected = answer.as_ref().is_ok_and(|answer| answer.status == visit.kind.status());
    let expected = visit.kind.transactions();
    // A request that failed unexpectedly may have only a part of its transactions.
    let patience = if as_expected { PATIENCE } else { PATIENCE / 5 };
    let whole = |trace: &[Transaction]| trace.len() >= expected && trace::is_whole(trace);
    let enough = |trace: &[Transaction]| whole(trace) || !as_expected && !trace.is_empty();
    if block_in_place(|| ingest.wait_until(patience, |_| enough(&trace()))).is_err() {
        println!("{}", paint.paint(Colour::Red, &format!("not whole within {patience:?}")));
    }
    println!("\n{}", waterfall::render(&trace(), &trace::lines(ingest), paint));
}

fn judge_visits(visits: Vec<(Visit, Result<Answer, String>)>, all: &[Transaction]) -> Vec<(&'static str, Vec<Check>)> {
    let judge = |(visit, answer): (Visit, Result<Answer, String>)| {
        let (title, trace) = (visit.kind.title(), in_trace(all, &visit.trace_id));
        (title, judge::judge(&Seen { visit, answer, trace }))
    };
    visits.into_iter().map(judge).collect()
}

/// Prints each trace when it is complete, and again when it has grown, until the process ends.
fn show_all(ingest: &LocalIngest, paint: Paint) {
    let mut shown = BTreeMap::new();
    loop {
        let next = || {
            let all = trace::transactions(&ingest.envelopes());
            let ids: BTreeSet<_> = all.iter().map(|transaction| transaction.trace_id.clone()).collect();
            let mut traces = ids.into_iter().map(|id| (in_trace(&all, &id), id));
            traces.find(|(trace, id)| shown.get(id) != Some(&trace.len()) && trace::is_whole(trace))
        };
        let _ = ingest.wait_until(Duration::from_secs(3600), |_| next().is_some());
        let Some((trace, id)) = next() else { continue };
        println!(
            "\n{}\n{}",
            waterfall::title(&format!("trace {id}"), paint),
            waterfall::render(&trace, &trace::lines(ingest), paint)
        );
        shown.insert(id, trace.len());
    }
}

/// Prints all checks. Succeeds if all pass.
fn verdict(parts: &[(&str, Vec<Check>)], saw_all: bool, paint: Paint) -> ExitCode {
    let word = if saw_all { "whole" } else { "delivered" };
    println!("\n{}", waterfall::title(&format!("Is everything {word}?"), paint));
    for (title, checks) in parts {
        println!("{title}");
        for Check { claim, found } in checks {
            match found {
                None => println!("  {} {claim}", paint.paint(Colour::Green, "✓")),
                Some(found) => println!("  {} {claim}\n      found: {found}", paint.paint(Colour::Red, "✗")),
            }
        }
    }
    let wrong = parts.iter().flat_map(|(_, checks)| checks).filter(|check| check.found.is_some()).count();
    if wrong > 0 {
        let text = format!("Not everything is {word}; look for the ✗ above ({wrong}).");
        println!("\n{}", paint.paint(Colour::Red, &text));
        return ExitCode::FAILURE;
    }
    println!("\n{}", paint.paint(Colour::Green, &format!("Everything is {word}.")));
    ExitCode::SUCCESS
}

fn in_trace(transactions: &[Transaction], trace_id: &str) -> Vec<Transaction> {
    transactions.iter().filter(|transaction| transaction.trace_id == trace_id).cloned().collect()
}

/// An environment variable that is set and not blank.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}
