//! What Sentry refuses, changes or drops of an envelope: the rules of its ingestion that a sender can break.

use std::{fmt::Display, net::IpAddr, ops::RangeInclusive};

use opentelemetry_sentry_exporter::testing::Envelope;
use serde_json::{Map, Value};

/// The last second of the year 9999.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// The largest transaction in bytes. Sentry's limit is 1 MiB; the difference is for what relays add.
const MAX_BYTES: usize = 1_000_000;

const MAX_SPANS: usize = 1000;
const MAX_OP: usize = 128;
const MAX_ORIGIN: usize = 128;
const MAX_NAME: usize = 200;
const MAX_TAG: usize = 200;
const MAX_UNIT: usize = 15;

const STATUSES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown_error",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal_error",
    "unavailable",
    "data_loss",
    "unauthenticated",
];
const SOURCES: [&str; 6] = ["custom", "url", "route", "view", "component", "task"];
const USER: [&str; 5] = ["id", "email", "username", "name", "ip_address"];
const REQUEST: [&str; 4] = ["method", "url", "query_string", "headers"];
/// Sentry removes tags with these names or gives them another meaning.
const OTHER_THAN_TAGS: [&str; 6] = ["release", "dist", "user", "filename", "function", "environment"];

/// The faults of an envelope, each with its place. Empty if Sentry accepts the envelope unchanged.
pub(crate) fn faults(envelope: &Envelope) -> Vec<String> {
    let mut judge = Judge::default();
    // A client report may be in the same envelope.
    let items = || envelope.items().iter().filter(|item| item.item_type() != "client_report");
    for item in items() {
        judge.check("item", item.item_type() == "transaction", item.item_type());
        judge.check("item", item.payload().len() <= MAX_BYTES, item.payload().len());
        match item.json() {
            Ok(event) => judge.event(&event, envelope.event_id()),
            Err(error) => judge.check("item", false, error),
        }
    }
    judge.check("envelope", items().count() == 1, envelope.items().len());
    judge.faults
}

#[derive(Default)]
struct Judge {
    faults: Vec<String>,
}

impl Judge {
    fn check(&mut self, place: &str, holds: bool, found: impl Display) {
        if !holds {
            let found: String = found.to_string().chars().take(300).collect();
            self.faults.push(format!("{place}: {found}"));
        }
    }

    fn event(&mut self, event: &Value, id: Option<&str>) {
        let Some(fields) = event.as_object() else { return self.check("event", false, event) };
        for (key, value) in fields {
            self.check(key, !value.is_null(), value);
        }
        self.check("type", event["type"] == "transaction", &event["type"]);
        self.check("platform", event["platform"] == "native", &event["platform"]);
        self.check("event_id", event["event_id"].as_str() == id && is_id(&event["event_id"], 32), &event["event_id"]);
        self.text("transaction", &event["transaction"], 1..=MAX_NAME);
        self.one_of("transaction_info.source", &event["transaction_info"]["source"], &SOURCES);
        self.check("environment", is_environment(&event["environment"]), &event["environment"]);
        self.given(event, "release", |judge, place, release| judge.check(place, is_release(release), release));
        self.given(event, "server_name", |judge, place, name| judge.text(place, name, 1..=usize::MAX));
        self.given(event, "measurements", Self::measurements);
        self.given(event, "tags", Self::tags);
        self.given(event, "user", Self::user);
        self.given(event, "request", Self::request);
        self.times("event", event);
        self.contexts(&event["contexts"]);
        let Some(spans) = event["spans"].as_array() else { return self.check("spans", false, &event["spans"]) };
        self.check("spans", spans.len() <= MAX_SPANS, spans.len());
        for (number, span) in spans.iter().enumerate() {
            let place = format!("spans[{number}]");
            self.span(&place, span);
            self.text(&place, &span["description"], 0..=usize::MAX);
            self.times(&place, span);
            self.given(span, "measurements", Self::measurements);
            self.given(span, "tags", Self::tags);
        }
    }

    fn given(&mut self, holder: &Value, key: &str, check: impl FnOnce(&mut Self, &str, &Value)) {
        if let Some(value) = holder.get(key) {
            check(self, key, value);
        }
    }

    fn text(&mut self, place: &str, value: &Value, length: RangeInclusive<usize>) {
        let holds = value.as_str().is_some_and(|text| length.contains(&text.chars().count()));
        self.check(place, holds, value);
    }

    fn one_of(&mut self, place: &str, value: &Value, words: &[&str]) {
        self.check(place, value.as_str().is_some_and(|word| words.contains(&word)), value);
    }

    /// The entries of an object, which must have at least one.
    fn entries<'a>(
        &mut self,
        place: &str,
        value: &'a Value,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        let entries = value.as_object().filter(|entries| !entries.is_empty());
        self.check(place, entries.is_some(), value);
        entries.into_iter().flat_map(Map::iter)
    }

    /// Sentry refuses the whole transaction if one span fails this.
    fn times(&mut self, place: &str, holder: &Value) {
        let (start, end) = (holder["start_timestamp"].as_f64(), holder["timestamp"].as_f64());
        let are_in_order = start.zip(end).is_some_and(|(start, end)| 0.0 <= start && start <= end);
        let is_in_range = end.is_some_and(|end| end <= LAST_SECOND as f64);
        self.check(place, are_in_order && is_in_range, format!("from {start:?} to {end:?}"));
    }

    fn contexts(&mut self, contexts: &Value) {
        for (name, context) in self.entries("contexts", contexts) {
            self.check(name, context.is_object(), context);
        }
        self.span("contexts.trace", &contexts["trace"]);
        let kind = contexts["trace"].get("type");
        self.check("contexts.trace.type", kind.is_none_or(|kind| kind == "trace"), format!("{kind:?}"));
        self.given(contexts, "response", |judge, place, response| {
            let status = response["status_code"].as_u64();
            judge.check(place, status.is_some_and(|status| (100..=599).contains(&status)), response);
            judge.given(response, "headers", Self::headers);
            judge.given(response, "body_size", |judge, place, size| judge.check(place, size.is_u64(), size));
        });
        for name in ["os", "runtime", "device"] {
            self.given(contexts, name, |judge, place, context| {
                for (_, value) in judge.entries(place, context) {
                    judge.text(place, value, 1..=usize::MAX);
                }
            });
        }
    }

    /// The fields that `contexts.trace` and an entry of `spans` share.
    fn span(&mut self, place: &str, span: &Value) {
        if !span.is_object() {
            return self.check(place, false, span);
        }
        self.check(place, is_id(&span["trace_id"], 32), &span["trace_id"]);
        self.check(place, is_id(&span["span_id"], 16), &span["span_id"]);
        self.given(span, "parent_span_id", |judge, _, id| judge.check(place, is_id(id, 16), id));
        self.given(span, "op", |judge, _, op| judge.text(place, op, 1..=MAX_OP));
        self.one_of(place, &span["status"], &STATUSES);
        self.check(place, is_origin(&span["origin"]), &span["origin"]);
        self.data(place, &span["data"]);
        self.given(span, "links", |judge, _, links| {
            let some = links.as_array().filter(|links| !links.is_empty());
            judge.check(place, some.is_some(), links);
            for link in some.into_iter().flatten() {
                judge.check(place, is_id(&link["trace_id"], 32) && is_id(&link["span_id"], 16), link);
                judge.check(place, link.get("sampled").is_none_or(Value::is_boolean), link);
                judge.given(link, "attributes", |judge, _, attributes| judge.data(place, attributes));
            }
        });
    }

    fn data(&mut self, place: &str, data: &Value) {
        let is_scalar = |value: &Value| value.is_boolean() || value.is_number() || value.is_string();
        for (key, value) in self.entries(place, data) {
            let holds = is_scalar(value) || value.as_array().is_some_and(|values| values.iter().all(is_scalar));
            self.check(place, holds, format!("{key}: {value}"));
        }
    }

    fn measurements(&mut self, place: &str, measurements: &Value) {
        for (name, measurement) in self.entries(place, measurements) {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_';
            self.check(place, name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed), name);
            self.check(place, measurement["value"].is_number(), measurement);
            self.check(place, measurement["unit"].as_str().is_some_and(str::is_ascii), measurement);
            self.text(place, &measurement["unit"], 1..=MAX_UNIT);
        }
    }

    fn tags(&mut self, place: &str, tags: &Value) {
        for (key, value) in self.entries(place, tags) {
            let is_key = !key.is_empty() && key.is_ascii() && key.len() <= MAX_TAG;
            self.check(place, is_key && !OTHER_THAN_TAGS.contains(&key.as_str()), key);
            self.text(place, value, 1..=MAX_TAG);
            self.check(place, value.as_str().is_some_and(|text| !text.contains('\n')), value);
        }
    }

    fn user(&mut self, place: &str, user: &Value) {
        for (key, value) in self.entries(place, user) {
            self.check(place, USER.contains(&key.as_str()), key);
            self.text(place, value, 1..=usize::MAX);
        }
        self.given(user, "ip_address", |judge, place, address| {
            let text = address.as_str().unwrap_or_default();
            judge.check(place, text == "{{auto}}" || text.parse::<IpAddr>().is_ok(), address);
        });
    }

    fn request(&mut self, place: &str, request: &Value) {
        for (key, value) in self.entries(place, request) {
            self.check(place, REQUEST.contains(&key.as_str()), key);
            self.check(place, value.is_string() || key == "headers", value);
        }
        let url = request["url"].as_str().unwrap_or_default();
        self.check(place, url.contains("://") && !url.contains(['?', '#']), url);
        self.given(request, "headers", Self::headers);
    }

    fn headers(&mut self, place: &str, headers: &Value) {
        for (_, value) in self.entries(place, headers) {
            self.check(place, value.is_string(), value);
        }
    }
}

fn is_id(value: &Value, digits: usize) -> bool {
    let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    value.as_str().is_some_and(|id| id.len() == digits && id.bytes().all(is_digit) && id.bytes().any(|c| c != b'0'))
}

fn is_origin(value: &Value) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    value.as_str().is_some_and(|text| (1..=MAX_ORIGIN).contains(&text.len()) && text.chars().all(allowed))
}

fn is_release(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        !text.trim().is_empty()
            && text.chars().count() <= 200
            && !text.contains(['/', '\\', '\n', '\r', '\t'])
            && !text.eq_ignore_ascii_case("latest")
            && ![".", ".."].contains(&text)
    })
}

fn is_environment(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        (1..=64).contains(&text.chars().count())
            && !text.contains(['/', '\n', '\r'])
            && !text.eq_ignore_ascii_case("none")
            && text != "."
    })
}
