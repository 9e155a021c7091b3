//! Checks that nothing is missing: compares the requests, the transactions that arrived, and the services' reports.

mod web;

use crate::{
    browser::{Answer, Kind, Visit},
    service::Report,
    trace::{Span, Transaction, Words},
};

/// One request, its answer, and the transactions of its trace.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) visit: Visit,
    pub(crate) answer: Result<Answer, String>,
    pub(crate) trace: Vec<Transaction>,
}

/// A claim, and what was found instead if it does not hold.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) claim: String,
    pub(crate) found: Option<String>,
}

impl Check {
    fn new(claim: impl Into<String>, found: Option<String>) -> Self {
        Self { claim: claim.into(), found }
    }

    pub(crate) fn equal<T: std::fmt::Debug + PartialEq>(claim: impl Into<String>, found: T, wanted: &T) -> Self {
        let wrong = found != *wanted;
        Self::new(claim, wrong.then(|| format!("{found:?} instead of {wanted:?}")))
    }
}

/// The checks of one request.
pub(crate) fn judge(seen: &Seen) -> Vec<Check> {
    let status = seen.visit.kind.status();
    let found = match &seen.answer {
        Ok(answer) if answer.status == status => None,
        Ok(answer) => Some(answer.status.to_string()),
        Err(error) => Some(error.clone()),
    };
    let mut checks = vec![Check::new(format!("answered with {status}"), found)];
    checks.extend(match seen.visit.kind {
        Kind::Page => web::page(seen),
        Kind::Action | Kind::Deferred => web::own_transaction(seen),
        _ => chain(seen),
    });
    checks
}

/// The checks of a request that the gateway passes on to the inventory.
fn chain(seen: &Seen) -> Vec<Check> {
    let whole = format!("trace {} on one transaction of gateway and one of inventory", seen.visit.trace_id);
    let services = ["gateway", "inventory"].map(|service| seen.only(service, |_| true));
    let [Ok(gateway), Ok(inventory)] = services else {
        return vec![missing(whole, services)];
    };
    let mut checks = vec![Check::new(whole, None)];
    checks.extend(links(&seen.visit, gateway, inventory));
    checks.push(queries(inventory));
    checks.extend(special(seen.visit.kind, gateway, inventory));
    checks
}

fn missing<'a>(claim: String, found: impl IntoIterator<Item = Result<&'a Transaction, String>>) -> Check {
    let found: Vec<_> = found.into_iter().filter_map(Result::err).collect();
    Check::new(claim, Some(found.join(", ")))
}

impl Seen {
    /// The only transaction of this service in this trace that matches.
    fn only(&self, service: &str, wanted: fn(&Transaction) -> bool) -> Result<&Transaction, String> {
        let ours = self.trace.iter().filter(|transaction| transaction.trace_id == self.visit.trace_id);
        let found: Vec<_> = ours.filter(|transaction| transaction.service == service && wanted(transaction)).collect();
        match found.as_slice() {
            [transaction] => Ok(transaction),
            _ => Err(format!("{} of {service}", found.len())),
        }
    }
}

/// The parents of the transactions, and the trace headers of their envelopes.
fn links(visit: &Visit, gateway: &Transaction, inventory: &Transaction) -> Vec<Check> {
    let Visit { kind, span_id, dsc, .. } = visit;
    let parent = |transaction: &Transaction| transaction.root.parent.clone().unwrap_or_default();
    let calls: Vec<_> = gateway.with_op("http.client").map(|span| span.id.clone()).collect();
    let claim = format!("gateway's transaction is a child of the caller's span {span_id}");
    let mut checks = vec![Check::equal(claim, parent(gateway), span_id)];
    let claim = format!("inventory's transaction is a child of gateway's http.client span {}", calls.join(", "));
    checks.push(Check::equal(claim, vec![parent(inventory)], &calls));
    if *kind == Kind::OnlyTraceparent {
        let claim = "both envelopes have the dynamic sampling context that gateway created";
        let releases = [gateway, inventory].map(|transaction| transaction.dsc.get("release").map(String::as_str));
        checks.push(Check::equal(claim, releases, &[Some("gateway@1.0.0"); 2]));
        return checks;
    }
    let claim = "both envelopes have the browser's dynamic sampling context, untouched";
    checks.push(Check::equal(claim, [&gateway.dsc, &inventory.dsc], &[dsc; 2]));
    let tenants: Vec<_> = inventory.spans.iter().filter_map(|span| span.data.get("tenant")?.as_str()).collect();
    checks.push(Check::equal("the foreign baggage member tenant=acme arrived at inventory", tenants, &vec!["acme"]));
    checks
}

fn queries(inventory: &Transaction) -> Check {
    let text = |span: &Span| span.data.get("db.query.text").and_then(|text| text.as_str()).map(ToOwned::to_owned);
    let Words { query: op, is_named_by_text, .. } = *inventory.words;
    let is_right = |span: &Span| match text(span) {
        Some(text) => !is_named_by_text || text == span.description,
        None => false,
    };
    let mut queries = inventory.with_op(op).peekable();
    let found = match queries.peek() {
        None => Some(format!("no span with op {op}")),
        Some(_) => queries.find(|span| !is_right(span)).map(|span| format!("{span:?}")),
    };
    let how = if is_named_by_text { "described by" } else { "with" };
    Check::new(format!("every query is a span with op {op}, {how} its text"), found)
}

/// The checks of this kind of request only.
fn special(kind: Kind, gateway: &Transaction, inventory: &Transaction) -> Vec<Check> {
    match kind {
        Kind::PageLoad | Kind::OnlyTraceparent => vec![all_ok(gateway), all_ok(inventory)],
        Kind::Failure => {
            let roots = [&*gateway.root.status, &inventory.root.status];
            let Words { failed, .. } = *inventory.words;
            // `sqlx` does not say that a query has failed, but the function around it does.
            let around = inventory.spans.iter().filter(|span| span.description == "sales");
            let around: Vec<_> = around.map(|span| span.status.as_str()).collect();
            vec![
                Check::equal(format!("both transactions are {failed}"), roots, &[failed; 2]),
                Check::equal(format!("the span around the query that failed is {failed}, too"), around, &vec![failed]),
            ]
        }
        Kind::Background => vec![background(gateway)],
        Kind::Page | Kind::Action | Kind::Deferred => Vec::new(), // see `web`
    }
}

fn all_ok(transaction: &Transaction) -> Check {
    let mut spans = std::iter::once(&transaction.root).chain(&transaction.spans);
    let found = spans.find(|span| span.status != "ok").map(|span| format!("{}: {}", span.description, span.status));
    Check::new(format!("every span of {} is ok", transaction.service), found)
}

fn background(gateway: &Transaction) -> Check {
    let mut spans = gateway.spans.iter();
    let found = match spans.find(|span| span.description == "send_confirmation") {
        None => Some("no span send_confirmation".to_owned()),
        Some(work) if work.end <= gateway.root.end => Some("it ended before the answer".to_owned()),
        Some(_) => None,
    };
    Check::new("send_confirmation ended after the answer, and is in the same transaction", found)
}

/// Checks that a service delivered all of its spans.
pub(crate) fn judge_report(service: &str, report: &Result<Report, String>) -> Check {
    let found = match report {
        Err(problem) => Some(problem.clone()),
        Ok(report) if report.spans_received == 0 => Some("it received no span".to_owned()),
        Ok(report) if !report.is_whole() => Some(report.summary()),
        Ok(_) => None,
    };
    Check::new(format!("{service} delivered every span"), found)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::browser;

    /// A page load without any fault.
    fn page_load() -> Seen {
        let [visit, ..] = browser::visits("public");
        let span = |id: &str, op: &str, parent: &str, text: &str| {
            json!({
                "span_id": id, "op": op, "parent_span_id": parent, "trace_id": visit.trace_id, "status": "ok",
                "description": text, "data": { "tenant": "acme", "db.query.text": text },
            })
        };
        let call = span("call", "http.client", "gateway", "GET");
        let query = span("query", "db", "inventory", "SELECT 1");
        let trace = vec![
            transaction(&visit, "gateway", &span("gateway", "http.server", &visit.span_id, ""), &call),
            transaction(&visit, "inventory", &span("inventory", "http.server", "call", ""), &query),
        ];
        Seen { visit, answer: Ok(Answer { status: 200, ..Answer::default() }), trace }
    }

    fn transaction(visit: &Visit, service: &str, root: &Value, span: &Value) -> Transaction {
        let trace = json!(visit.dsc);
        let resource = json!({ "service.name": service });
        let contexts = json!({ "trace": root, "otel": { "resource": resource } });
        Transaction::new(&json!({ "contexts": contexts, "spans": [span] }), trace.as_object())
    }

    fn wrong(seen: &Seen) -> Vec<String> {
        judge(seen).into_iter().filter(|check| check.found.is_some()).map(|check| check.claim).collect()
    }

    #[test]
    fn a_complete_trace_passes() {
        assert_eq!(wrong(&page_load()), [""; 0]);
    }

    #[test]
    fn each_fault_is_found() {
        type Fault = fn(&mut Seen);
        let faults: [(&str, Fault); 7] = [
            ("answered with 200", |seen| seen.answer = Ok(Answer { status: 404, ..Answer::default() })),
            ("on one transaction", |seen| seen.trace.truncate(1)),
            ("the caller's span", |seen| seen.trace[0].root.parent = None),
            ("http.client span", |seen| seen.trace[1].root.parent = Some("gateway".into())),
            ("untouched", |seen| seen.trace[1].dsc.clear()),
            ("tenant=acme", |seen| seen.trace[1].spans[0].data["tenant"] = "other".into()),
            ("described by its text", |seen| seen.trace[1].spans[0].description = "sqlite".into()),
        ];
        for (claim, fault) in faults {
            let mut seen = page_load();
            fault(&mut seen);
            let wrong = wrong(&seen);
            assert!(matches!(wrong.as_slice(), [one] if one.contains(claim)), "{claim}: {wrong:?}");
        }
    }

    #[test]
    fn a_lost_span_is_found() {
        let report = Report { spans_received: 2, spans_sent: 2, ..Report::default() };
        assert!(judge_report("gateway", &Ok(report.clone())).found.is_none());
        assert!(judge_report("gateway", &Ok(Report { spans_sent: 1, ..report })).found.is_some());
        assert!(judge_report("gateway", &Err("it died".into())).found.is_some());
    }
}
