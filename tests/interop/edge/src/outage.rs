//! A Sentry that limits, hangs, or is away: the Worker answers as ever, and every span is counted.

use opentelemetry_sentry_testing::{Answer, Captured, Gate, LocalIngest};
use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{Outcome, Programs, arrived::wait_for, claims::Claims, gateway::Gateway, process::Server};

pub(crate) async fn play(programs: &Programs, claims: &mut Claims) -> Outcome {
    let gateway = Gateway::start().await?;
    let scene = Scene { programs, gateway, client: Client::builder().no_proxy().build()? };
    scene.limited(claims).await?;
    scene.hanging(claims).await?;
    scene.away(claims).await
}

/// The spans of one request: itself, two functions and its call.
const SPANS: u64 = 4;

/// The requests while Sentry is away. After eight, it counts as away.
const REQUESTS: u64 = 20;

struct Scene<'a> {
    programs: &'a Programs,
    gateway: Gateway,
    client: Client,
}

/// What a Worker says about its spans.
#[derive(Debug)]
struct Counted {
    received: u64,
    sent: u64,
    waiting: u64,
    dropped: u64,
}

impl Scene<'_> {
    async fn worker(&self, dsn: &str) -> Result<Server, String> {
        let variables = [("SENTRY_DSN", dsn), ("GATEWAY", &self.gateway.url)];
        Server::worker(&self.programs.workerd, &self.programs.worker, &variables).await
    }

    async fn ask(&self, worker: &Server, path: &str) -> reqwest::Result<String> {
        self.client.get(format!("{}{path}", worker.url)).send().await?.text().await
    }

    async fn count(&self, worker: &Server) -> reqwest::Result<Counted> {
        let text = self.ask(worker, "/stats").await?;
        let of = |part: &str| part.trim().split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        let mut parts = text.split(',').map(of);
        let mut next = || parts.next().unwrap_or_default();
        Ok(Counted { received: next(), sent: next(), waiting: next(), dropped: parts.sum() })
    }

    /// After the limit's end a client report has what was lost.
    async fn limited(&self, claims: &mut Claims) -> Outcome {
        let ingest = LocalIngest::start()?;
        let limit = Answer::status(429).with_header("X-Sentry-Rate-Limits", "1:transaction:organization");
        ingest.answer_next([limit]);
        let worker = self.worker(&ingest.dsn()).await?;
        // Requests during the limit are lost, too. The first one after its end takes the report along.
        let mut wrong = Vec::new();
        while ingest.captured().transactions.is_empty() {
            let answer = self.ask(&worker, "/products/limited").await?;
            wrong.extend((answer != "limited").then_some(answer));
        }
        claims.same("limited: other answers", wrong, [""; 0]);
        // What is lost while a report is being sent is in the next one. The request that was answered with 429 is in none,
        // because Sentry counts that itself.
        let mut counted = self.count(&worker).await?;
        for sent in 2..10 {
            wait_for(&ingest, "a transaction after the limit", |captured| {
                (captured.transactions.len() >= sent - 1).then_some(())
            })?;
            counted = self.count(&worker).await?;
            if reported(&ingest.captured()) + SPANS == counted.dropped {
                break;
            }
            self.ask(&worker, "/products/limited").await?;
        }
        claims.same("limited: what is reported", reported(&ingest.captured()) + SPANS, counted.dropped);
        claims.same(
            "limited: every span is counted",
            counted.received,
            counted.sent + counted.waiting + counted.dropped,
        );
        Ok(())
    }

    /// A Sentry that does not answer holds neither this answer nor those of others.
    async fn hanging(&self, claims: &mut Claims) -> Outcome {
        let (ingest, gate) = (LocalIngest::start()?, Gate::new());
        ingest.answer_next([Answer::ok().with_gate(&gate)]);
        let worker = self.worker(&ingest.dsn()).await?;
        claims.same("hanging: the answer", self.ask(&worker, "/products/first").await?, "first");
        wait_for(&ingest, "the request that hangs", |_| (!ingest.requests().is_empty()).then_some(()))?;
        claims.same("hanging: the next answer", self.ask(&worker, "/products/second").await?, "second");
        wait_for(&ingest, "the next request", |captured| (captured.transactions.len() == 1).then_some(()))?;
        gate.open();
        wait_for(&ingest, "both", |captured| (captured.transactions.len() == 2).then_some(()))?;
        Ok(())
    }

    /// Nothing listens at the DSN.
    async fn away(&self, claims: &mut Claims) -> Outcome {
        let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let worker = self.worker(&format!("http://public@{free}/1")).await?;
        for _ in 0..REQUESTS {
            claims.same("away: the answer", self.ask(&worker, "/products/lamp").await?, "lamp");
        }
        let counted = self.count(&worker).await?;
        claims.same("away: spans received and sent", (counted.received, counted.sent), (REQUESTS * SPANS, 0));
        claims.same("away: every span is counted", counted.waiting + counted.dropped, counted.received);
        Ok(())
    }
}

/// The spans in all client reports.
fn reported(captured: &Captured) -> u64 {
    let items = captured.envelopes.iter().flat_map(|envelope| envelope.items());
    let reports = items.filter(|item| item.item_type() == "client_report").filter_map(|item| item.json().ok());
    reports.map(|report| lost_spans(&report)).sum()
}

fn lost_spans(report: &Value) -> u64 {
    let lost = report["discarded_events"].as_array().into_iter().flatten().filter(|lost| lost["category"] == "span");
    lost.filter_map(|lost| lost["quantity"].as_u64()).sum()
}
