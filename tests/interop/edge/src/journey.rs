//! A page in Chromium, a Worker, and the shop's two services.

use std::process::Stdio;

use opentelemetry_sentry_testing::{Captured, LocalIngest, Transaction};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    Outcome, Programs,
    arrived::{calls, dsc, from, refusals, wait_for},
    claims::Claims,
    process::Server,
};

const SERVICES: [&str; 4] = ["page", "worker", "gateway", "inventory"];

pub(crate) async fn play(programs: &Programs, claims: &mut Claims) -> Outcome {
    let ingest = LocalIngest::start()?;
    let shop = Server::shop(&programs.shop, &ingest.dsn()).await?;
    let variables = [("SENTRY_DSN", &*ingest.dsn()), ("GATEWAY", &shop.url)];
    let worker = Server::worker(&programs.workerd, &programs.worker, &variables).await?;

    let visit =
        Command::new("node").args(["tests/interop/edge/visit.js", &worker.url]).stdout(Stdio::piped()).spawn()?;
    let visit = visit.wait_with_output().await?;
    let shown = String::from_utf8_lossy(&visit.stdout).into_owned();
    let shown: Value = serde_json::from_str(&shown).map_err(|error| format!("the page showed {shown:?}: {error}"))?;
    claims.same("the page shows the product", &shown["product"], "lamp");
    claims.holds("and its stock", shown["available"].as_u64().is_some());

    let all =
        wait_for(&ingest, "the four transactions", |captured| chain(captured).map(|chain| chain.map(Clone::clone)))?;
    let captured = ingest.captured();
    one_trace(claims, &captured, &all);
    claims.same("transactions", captured.transactions.len(), SERVICES.len());
    simple(claims, &ingest);
    claims.same("refused requests", refusals(&ingest), [""; 0]);
    claims.holds("the services delivered everything", shop.close().await);
    Ok(())
}

fn chain(captured: &Captured) -> Option<[&Transaction; 4]> {
    let of = |service| captured.transactions.iter().find(|transaction| from(transaction) == service);
    Some([of(SERVICES[0])?, of(SERVICES[1])?, of(SERVICES[2])?, of(SERVICES[3])?])
}

/// Each transaction is below the call of the one before, and all have the context of the page.
fn one_trace(claims: &mut Claims, captured: &Captured, all: &[Transaction; 4]) {
    let page = &all[0];
    claims.same("the page begins the trace", &page.parent_span_id, &None);
    claims.same("it is a pageload", page.op.as_deref(), Some("pageload"));
    let context = dsc(captured, page);
    claims.same("its context has its trace", context.get("trace_id").and_then(Value::as_str), Some(&*page.trace_id));
    claims.same("its context has its release", context.get("release").and_then(Value::as_str), Some("edge@1.0.0"));
    for (caller, called) in all.iter().zip(&all[1..]) {
        let name = from(called);
        claims.same(&format!("the trace of {name}"), &called.trace_id, &page.trace_id);
        let calls: Vec<_> = calls(caller).iter().map(|span| Some(span.span_id.clone())).collect();
        claims.same(&format!("the parent of {name}"), calls, [called.parent_span_id.clone()]);
        claims.same(&format!("the context of {name}"), dsc(captured, called), context.clone());
    }
    let worker = &all[1];
    claims.same(
        "the Worker's name and op",
        (&*worker.name, worker.op.as_deref()),
        ("GET /products/{sku}", Some("http.server")),
    );
    claims.same("its status", &worker.data["http.response.status_code"], 200);
    let product = worker.span("product");
    claims.same("its function is below the request", product.parent_span_id.as_ref(), Some(&worker.span_id));
    claims.same("its call is below the function", calls(worker)[0].parent_span_id.as_ref(), Some(&product.span_id));
}

/// What a page sends needs no preflight, and may outlive the page.
fn simple(claims: &mut Claims, ingest: &LocalIngest) {
    let requests = ingest.requests();
    let of_page: Vec<_> = requests.iter().filter(|request| request.header("origin").is_some()).collect();
    claims.same("the page's requests", of_page.iter().map(|request| request.method()).collect::<Vec<_>>(), ["POST"]);
    for request in of_page {
        claims.same("their type", request.header("content-type"), Some("text/plain;charset=UTF-8"));
        claims.holds(
            "they authenticate by their query",
            request.query().is_some_and(|query| query.contains("sentry_key=")),
        );
        claims.holds("they are small enough for `keepalive`", request.body_size() < 64 << 10);
    }
}
