//! Is everything whole? Pure checks of what was asked for, what arrived, and what the services say of it.

use std::collections::BTreeMap;

use crate::{
    browser::{Kind, Visit},
    service::Report,
    trace::{Span, Transaction},
};

/// One request, the status of its answer, and the transactions of its trace.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) visit: Visit,
    pub(crate) answer: Result<u16, String>,
    pub(crate) trace: Vec<Transaction>,
}

/// Something that has to be so, and what was found instead if it is not.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) claim: String,
    pub(crate) found: Option<String>,
}

impl Check {
    fn new(claim: impl Into<String>, found: Option<String>) -> Self {
        Self { claim: claim.into(), found }
    }

    fn equal<T: std::fmt::Debug + PartialEq>(claim: impl Into<String>, found: T, wanted: &T) -> Self {
        let wrong = found != *wanted;
        Self::new(claim, wrong.then(|| format!("{found:?} instead of {wanted:?}")))
    }
}

/// What has to be so for one request.
pub(crate) fn judge(seen: &Seen) -> Vec<Check> {
    let status = seen.visit.kind.status();
    let mut checks = vec![Check::equal(format!("answered with {status}"), seen.answer.clone(), &Ok(status))];
    let whole = format!("trace {} on one transaction of gateway and one of inventory", seen.visit.trace_id);
    match (seen.only("gateway"), seen.only("inventory")) {
        (Ok(gateway), Ok(inventory)) => {
            checks.push(Check::new(whole, None));
            checks.extend(links(&seen.visit, gateway, inventory));
            checks.push(queries(inventory));
            checks.extend(special(seen.visit.kind, gateway, inventory));
        }
        (gateway, inventory) => {
            let found = [gateway.err(), inventory.err()].into_iter().flatten().collect::<Vec<_>>().join(", ");
            checks.push(Check::new(whole, Some(found)));
        }
    }
    checks
}

impl Seen {
    fn only(&self, service: &str) -> Result<&Transaction, String> {
        let ours =
            |transaction: &&Transaction| transaction.service == service && transaction.trace_id == self.visit.trace_id;
        let found: Vec<_> = self.trace.iter().filter(ours).collect();
        match found.as_slice() {
            [transaction] => Ok(transaction),
            _ => Err(format!("{} of {service}", found.len())),
        }
    }
}

/// Who is whose parent, and what everybody says of the trace.
fn links(visit: &Visit, gateway: &Transaction, inventory: &Transaction) -> Vec<Check> {
    let call: Vec<_> = gateway.with_op("http.client").map(|span| Some(span.id.clone())).collect();
    let mut checks = vec![
        Check::equal(
            "gateway's parent is the caller's span",
            gateway.root.parent.clone(),
            &Some(visit.span_id.clone()),
        ),
        Check::equal("inventory's parent is gateway's http.client span", vec![inventory.root.parent.clone()], &call),
    ];
    if visit.kind == Kind::OnlyTraceparent {
        let release = |transaction: &Transaction| transaction.dsc.get("release").cloned();
        let ours = Some("gateway@1.0.0".to_owned());
        checks.push(Check::equal(
            "its context in both envelopes is gateway's",
            [release(gateway), release(inventory)],
            &[ours.clone(), ours],
        ));
        return checks;
    }
    let contexts = [&gateway.dsc, &inventory.dsc];
    checks.push(Check::equal("its context in both envelopes is the browser's, untouched", contexts, &[&visit.dsc; 2]));
    let tenants: Vec<_> = inventory.spans.iter().filter_map(|span| span.data.get("tenant")?.as_str()).collect();
    checks.push(Check::equal("the foreign baggage member tenant=acme came to inventory", tenants, &vec!["acme"]));
    checks
}

fn queries(inventory: &Transaction) -> Check {
    let text = |span: &Span| span.data.get("db.query.text").and_then(|text| text.as_str()).map(ToOwned::to_owned);
    let mut queries = inventory.with_op("db").peekable();
    let found = match queries.peek() {
        None => Some("no span with op db".to_owned()),
        Some(_) => queries.find(|span| text(span).as_ref() != Some(&span.description)).map(|span| format!("{span:?}")),
    };
    Check::new("each query is a span with op db and its text", found)
}

/// What only this kind of request shows.
fn special(kind: Kind, gateway: &Transaction, inventory: &Transaction) -> Vec<Check> {
    match kind {
        Kind::PageLoad | Kind::OnlyTraceparent => {
            let all = std::iter::once(&gateway.root).chain(&gateway.spans).chain(&inventory.spans);
            let wrong =
                all.filter(|span| span.status != "ok").map(|span| format!("{} {}", span.description, span.status));
            vec![Check::equal("every span is ok", wrong.collect(), &Vec::new())]
        }
        Kind::Failure => {
            let query = inventory.with_op("db").map(|span| span.status.as_str()).collect::<Vec<_>>();
            let failed = "internal_error";
            vec![
                Check::equal(
                    "its transactions have failed",
                    [&*gateway.root.status, &inventory.root.status],
                    &[failed; 2],
                ),
                Check::equal("the query that is to blame, too", query, &vec![failed]),
            ]
        }
        Kind::Background => {
            let mut work = gateway.spans.iter().filter(|span| span.description == "send_confirmation");
            let found = match (work.next(), gateway.root.end) {
                (None, _) => Some("no span send_confirmation".to_owned()),
                (Some(work), answer) if work.end <= answer => Some("it ended before the answer".to_owned()),
                (Some(_), _) => None,
            };
            vec![Check::new("the work after the answer is in the same transaction", found)]
        }
    }
}

/// Whether a service delivered all of its spans.
pub(crate) fn judge_report(service: &str, report: &Result<Report, String>) -> Check {
    let found = match report {
        Err(problem) => Some(problem.clone()),
        Ok(Report { problem: Some(problem), .. }) => Some(problem.clone()),
        Ok(report) if report.spans_received == 0 => Some("it had none".to_owned()),
        Ok(report) if report.spans_sent == report.spans_received && report.dropped == BTreeMap::new() => None,
        Ok(report) => Some(format!("{} of {}", report.spans_sent, report.spans_received)),
    };
    Check::new(format!("{service} delivered every span"), found)
}
