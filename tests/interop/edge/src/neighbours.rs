//! Our Worker between two Workers with Sentry's SDK for Cloudflare, which streams.

use opentelemetry_sentry_testing::{Captured, LocalIngest, StreamedSpan, Transaction};
use reqwest::Client;
use serde_json::Value;

use crate::{
    Outcome, Programs,
    arrived::{calls, dsc, members, refusals, wait_for},
    claims::Claims,
    process::Server,
};

pub(crate) async fn play(programs: &Programs, claims: &mut Claims) -> Outcome {
    for sampled in [true, false] {
        between(programs, claims, sampled).await?;
    }
    Ok(())
}

/// The first one decides; the other two would decide otherwise.
async fn between(programs: &Programs, claims: &mut Claims, sampled: bool) -> Outcome {
    let ingest = LocalIngest::start()?;
    let dsn = &*ingest.dsn();
    let neighbour = |rate| async move {
        Server::worker(&programs.workerd, &programs.neighbour, &[("SENTRY_DSN", dsn), ("RATE", rate)]).await
    };
    let (rate, other) = if sampled { ("1", "0") } else { ("0", "1") };
    let (first, last) = (neighbour(rate).await?, neighbour(other).await?);
    let ours =
        Server::worker(&programs.workerd, &programs.worker, &[("SENTRY_DSN", dsn), ("GATEWAY", &last.url)]).await?;

    let url = format!("{}/start?next={}/products/lamp", first.url, ours.url);
    let answer = Client::builder().no_proxy().build()?.get(url).send().await?.text().await?;
    let received: Value = serde_json::from_str(&answer).map_err(|error| format!("{answer}: {error}"))?;
    let text = |name: &str| received[name].as_str().unwrap_or_default().to_owned();
    let (trace, baggage) = (text("sentry-trace"), text("baggage"));
    let [trace_id, _, flag] = trace.split('-').collect::<Vec<_>>()[..] else {
        return Err(format!("{answer}: no trace").into());
    };
    claims.same("neighbours: the last one's decision", flag, if sampled { "1" } else { "0" });
    claims.same("neighbours: its context's trace", members(&baggage).get("trace_id").copied(), Some(trace_id));
    let decision = members(&baggage).get("sampled").copied().unwrap_or_default().to_owned();
    claims.same("neighbours: its context's decision", decision, sampled.to_string());
    if sampled {
        let find = |captured: &Captured| Found::new(captured, trace_id);
        let found = wait_for(&ingest, "the three Workers' spans", find)?;
        found.judge(claims, &ingest, &members(&baggage));
    } else {
        // The second trace was begun by us, and is sent after the first one would have been.
        let url = format!("{}/products/lamp", ours.url);
        Client::builder().no_proxy().build()?.get(url).send().await?;
        wait_for(&ingest, "a later trace", |captured| captured.transactions.first().map(|_| ()))?;
        let captured = ingest.captured();
        let of_trace = captured
            .spans
            .iter()
            .map(|span| &span.trace_id)
            .chain(captured.transactions.iter().map(|one| &one.trace_id));
        claims.same(
            "neighbours: spans of a trace that is not sampled",
            of_trace.filter(|id| **id == trace_id).count(),
            0,
        );
    }
    claims.same("neighbours: refused requests", refusals(&ingest), [""; 0]);
    Ok(())
}

/// One trace through three Workers.
struct Found {
    /// The first one's call of ours.
    call: StreamedSpan,
    ours: Transaction,
    /// The last one's request.
    last: StreamedSpan,
}

impl Found {
    fn new(captured: &Captured, trace_id: &str) -> Option<Self> {
        let ours = captured.transactions.iter().find(|one| one.trace_id == trace_id)?;
        let below = calls(ours).first()?.span_id.clone();
        let call = captured.spans.iter().find(|span| Some(&span.span_id) == ours.parent_span_id.as_ref())?;
        let last = captured.spans.iter().find(|span| span.parent_span_id.as_ref() == Some(&below))?;
        Some(Self { call: call.clone(), ours: ours.clone(), last: last.clone() })
    }

    fn judge(&self, claims: &mut Claims, ingest: &LocalIngest, received: &std::collections::BTreeMap<&str, &str>) {
        let traces = [&self.call.trace_id, &self.last.trace_id];
        claims.same("neighbours: traces", traces, [&self.ours.trace_id; 2]);
        claims.same("neighbours: the call's op", self.call.op.as_deref(), Some("http.client"));
        claims.same("neighbours: the last one is a segment", self.last.is_segment, true);
        let context = dsc(&ingest.captured(), &self.ours);
        for key in ["trace_id", "public_key", "sampled", "sample_rate", "sample_rand", "environment"] {
            let found = received.get(key).map(|value| (*value).to_owned());
            claims.same(
                &format!("neighbours: {key} of the context"),
                context.get(key).and_then(Value::as_str),
                found.as_deref(),
            );
        }
        claims.same(
            "neighbours: the environment is the first one's",
            context.get("environment").and_then(Value::as_str),
            Some("neighbour"),
        );
    }
}
