//! The checks of pages, server actions and deferred work.

use opentelemetry_sentry::protocol::{Baggage, SentryTrace};

use super::{Check, Seen, missing};
use crate::{browser::Kind, trace::Transaction};

/// A server action or deferred work.
const OWN: fn(&Transaction) -> bool = |transaction| !transaction.is_request();

/// The page's `<meta>` elements and the answer's `Server-Timing` have the id of a span of the gateway, and the browser's
/// dynamic sampling context.
pub(super) fn page(seen: &Seen) -> Vec<Check> {
    let whole = format!("trace {} on one transaction of gateway", seen.visit.trace_id);
    let gateway = match seen.only("gateway", |_| true) {
        Ok(gateway) => gateway,
        found => return vec![missing(whole, [found])],
    };
    let answer = seen.answer.clone().unwrap_or_default();
    let parent = gateway.root.parent.clone().unwrap_or_default();
    let claim = format!("gateway's transaction is a child of the caller's span {}", seen.visit.span_id);
    let mut checks = vec![Check::new(whole, None), Check::equal(claim, parent, &seen.visit.span_id)];
    let meta = |name| between(&answer.body, &format!("<meta name=\"{name}\" content=\""), "\"/>");
    let timing = |name| between(&answer.server_timing, &format!("{name};desc=\""), "\"");
    let carriers: [(&str, &dyn Fn(&'static str) -> String); 2] =
        [("the page's meta elements", &meta), ("Server-Timing", &timing)];
    for (carrier, value) in carriers {
        let claim = format!("{carrier}: this trace, a span of gateway, sampled");
        checks.push(Check::new(claim, names(gateway, &value(SentryTrace::HEADER))));
        let dsc = Baggage::parse([value(Baggage::HEADER).as_str()]).into_dsc();
        let dsc = dsc.iter().flat_map(|dsc| dsc.iter()).map(|(key, value)| (key.into_owned(), value.into_owned()));
        let claim = format!("{carrier}: the browser's dynamic sampling context, untouched");
        checks.push(Check::equal(claim, dsc.collect(), &seen.visit.dsc));
    }
    checks
}

/// The `sentry-trace`, if it does not name a span of this transaction.
fn names(transaction: &Transaction, sentry_trace: &str) -> Option<String> {
    let mut ids = std::iter::once(&transaction.root).chain(&transaction.spans).map(|span| &span.id);
    let right = ids.any(|id| format!("{}-{id}-1", transaction.trace_id) == sentry_trace);
    (!right).then(|| format!("{sentry_trace:?}"))
}

/// The text between these two; empty if they do not occur.
fn between(text: &str, before: &str, after: &str) -> String {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    found.map_or_else(String::new, |(found, _)| found.to_owned())
}

/// A server action and deferred work are separate transactions below the request's.
pub(super) fn own_transaction(seen: &Seen) -> Vec<Check> {
    let is_action = seen.visit.kind == Kind::Action;
    let name = if is_action { "serverAction/createOrder" } else { "send_catalogue" };
    let whole =
        format!("trace {} on a transaction of the request, one of {name}, one of inventory", seen.visit.trace_id);
    let found = [
        seen.only("gateway", Transaction::is_request),
        seen.only("gateway", OWN),
        seen.only("inventory", Transaction::is_request),
    ];
    let [Ok(request), Ok(own), Ok(inventory)] = found else {
        return vec![missing(whole, found)];
    };
    let parents = [request, own, inventory].map(|transaction| transaction.root.parent.clone().unwrap_or_default());
    let call = own.with_op("http.client").map(|span| span.id.clone()).next().unwrap_or_default();
    let wanted = [seen.visit.span_id.clone(), request.root.id.clone(), call];
    let dscs = [request, own, inventory].map(|transaction| &transaction.dsc);
    let mut checks = vec![
        Check::new(whole, None),
        Check::equal(format!("caller, request, {name}, inventory: each is the parent of the next"), parents, &wanted),
        Check::equal("all three envelopes have the browser's dynamic sampling context", dscs, &[&seen.visit.dsc; 3]),
        Check::equal(format!("it is named {name}"), own.root.description.as_str(), &name),
    ];
    checks.extend(if is_action { action(own) } else { deferred(request, own) });
    checks
}

fn action(own: &Transaction) -> [Check; 2] {
    let op = own.words.action;
    let text = |key| own.root.data.get(key).and_then(|value| value.as_str());
    let recorded = [text("server_action.form_data.sku"), text("server_action.result")];
    [
        Check::equal(format!("its op is {op}"), own.root.op.as_deref(), &Some(op)),
        Check::equal("it has the form's sku and the action's result", recorded, &[Some("mug"), Some("39")]),
    ]
}

fn deferred(request: &Transaction, own: &Transaction) -> [Check; 2] {
    let late = own.root.end > request.root.end;
    let found = (!late).then(|| "it ended before the answer".to_owned());
    [
        Check::equal("it is linked to the request", own.links.as_slice(), &std::slice::from_ref(&request.root.id)),
        Check::new("it ended after the answer, which did not wait for it", found),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::browser::{self, Answer};

    fn seen(kind: Kind, transactions: &[Value]) -> Seen {
        let mut visits = browser::visits("public").into_iter();
        let visit = visits.find(|visit| visit.kind == kind).unwrap();
        let dsc = json!(visit.dsc);
        let trace = transactions.iter().map(|transaction| {
            let mut event = transaction.clone();
            event["contexts"]["trace"]["trace_id"] = visit.trace_id.clone().into();
            if event["contexts"]["trace"]["parent_span_id"] == "caller" {
                event["contexts"]["trace"]["parent_span_id"] = visit.span_id.clone().into();
            }
            Transaction::new(&event, dsc.as_object())
        });
        let trace = trace.collect();
        Seen { visit, answer: Ok(Answer::default()), trace }
    }

    fn transaction(service: &str, (id, parent): (&str, &str), op: &str, rest: &Value) -> Value {
        json!({
            "contexts": {
                "trace": {
                    "span_id": id, "parent_span_id": parent, "op": op, "data": rest["data"], "links": rest["links"],
                },
                "otel": { "resource": { "service.name": service } },
            },
            "transaction": rest["name"], "spans": [{ "op": "http.client", "span_id": format!("{id}-call") }],
            "timestamp": rest["end"],
        })
    }

    fn below_request(kind: Kind, own: &Value) -> Seen {
        let op = if kind == Kind::Action { "function.server_action" } else { "" };
        let transactions = [
            transaction("gateway", ("request", "caller"), "http.server", &json!({ "end": 1.0 })),
            transaction("gateway", ("own", "request"), op, own),
            transaction("inventory", ("inventory", "own-call"), "http.server", &json!({})),
        ];
        seen(kind, &transactions)
    }

    fn action() -> Seen {
        let data = json!({ "server_action.form_data.sku": "mug", "server_action.result": "39" });
        below_request(Kind::Action, &json!({ "name": "serverAction/createOrder", "data": data }))
    }

    fn deferred() -> Seen {
        let links = json!([{ "span_id": "request" }]);
        below_request(Kind::Deferred, &json!({ "name": "send_catalogue", "links": links, "end": 2.0 }))
    }

    fn a_page() -> Seen {
        let mut seen = seen(Kind::Page, &[transaction("gateway", ("request", "caller"), "http.server", &json!({}))]);
        let sentry_trace = format!("{}-request-1", seen.visit.trace_id);
        let dsc = seen.visit.dsc.iter().map(|(key, value)| format!("sentry-{key}={value}"));
        let baggage = dsc.collect::<Vec<_>>().join(",");
        let meta = |name, value: &str| format!("<meta name=\"{name}\" content=\"{value}\"/>");
        let body = meta("sentry-trace", &sentry_trace) + &meta("baggage", &baggage);
        let server_timing = format!("sentry-trace;desc=\"{sentry_trace}\", baggage;desc=\"{baggage}\"");
        seen.answer = Ok(Answer { status: 200, server_timing, body });
        seen
    }

    fn wrong(checks: Vec<Check>) -> Vec<String> {
        checks.into_iter().filter(|check| check.found.is_some()).map(|check| check.claim).collect()
    }

    #[test]
    fn complete_traces_pass() {
        assert_eq!(wrong(page(&a_page())), [""; 0]);
        assert_eq!(wrong(own_transaction(&action())), [""; 0]);
        assert_eq!(wrong(own_transaction(&deferred())), [""; 0]);
    }

    #[test]
    fn each_fault_is_found() {
        type Fault = (&'static str, fn() -> Seen, fn(&mut Seen));
        let faults: [Fault; 9] = [
            ("on one transaction", a_page, |seen| seen.trace.clear()),
            ("the caller's span", a_page, |seen| seen.trace[0].root.parent = None),
            ("meta elements: this trace", a_page, |seen| seen.trace[0].root.id = "other".into()),
            ("Server-Timing: the browser's", a_page, |seen| seen.visit.dsc.clear()),
            ("of the request, one of", action, |seen| seen.trace.truncate(2)),
            ("each is the parent", action, |seen| seen.trace[1].root.parent = None),
            ("context", action, |seen| seen.trace[2].dsc.clear()),
            ("linked", deferred, |seen| seen.trace[1].links.clear()),
            ("after the answer", deferred, |seen| seen.trace[1].root.end = 0.5),
        ];
        for (claim, whole, fault) in faults {
            let mut seen = whole();
            fault(&mut seen);
            let checks = if seen.visit.kind == Kind::Page { page(&seen) } else { own_transaction(&seen) };
            let wrong = wrong(checks);
            assert!(wrong.iter().any(|wrong| wrong.contains(claim)), "{claim}: {wrong:?}");
        }
    }
}
