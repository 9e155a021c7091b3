//! What the pages of Sentry's modules need of a span, in both lifecycles: the cases of `tests/vectors/modules`, and the tables
//! of the guide.

#[path = "support/case.rs"]
mod case;
mod support;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use opentelemetry::KeyValue;
use opentelemetry_sentry_exporter::{SentryExporterBuilder, TraceLifecycle};
use opentelemetry_sentry_vectors::{Joined, each};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::{
    case::SpanCase,
    support::{Pipeline, span},
};

/// The files of the modules. A section of the guide's page `modules` has the name of its file.
const MODULES: [&str; 8] = ["queries", "caches", "queues", "requests", "gen_ai", "mcp", "graphql", "jobs"];

/// What is sent of a span: first in a transaction, then in a stream.
#[derive(Deserialize)]
struct Page {
    op: [Value; 2],
    names: [Value; 2],
    result: Option<[Value; 2]>,
    /// In both; `null` if the key is missing.
    has: BTreeMap<String, Value>,
    #[serde(default)]
    transaction: BTreeMap<String, Value>,
    #[serde(default)]
    stream: BTreeMap<String, Value>,
    /// The trace ids of the links.
    linked: Option<Vec<String>>,
}

/// A span as Sentry gets it, in the same words for both lifecycles.
struct Sent {
    op: Value,
    name: Value,
    status: Value,
    attributes: Map<String, Value>,
    linked: Vec<Value>,
}

fn linked(links: &Value) -> Vec<Value> {
    links.as_array().into_iter().flatten().map(|link| link["trace_id"].clone()).collect()
}

impl Sent {
    fn in_transaction(pipeline: &Pipeline, case: &SpanCase) -> Self {
        let trace_id = pipeline.new_trace();
        pipeline.send(vec![case.apply_to(span(trace_id, 2, 1)), span(trace_id, 1, 0)]);
        let child = pipeline.ingest.transactions()[0]["spans"][0].clone();
        Self {
            op: child["op"].clone(),
            name: child["description"].clone(),
            status: child["status"].clone(),
            attributes: child["data"].as_object().expect("data").clone(),
            linked: linked(&child["links"]),
        }
    }

    fn in_stream(pipeline: &Pipeline, case: &SpanCase) -> Self {
        let envelopes = pipeline.send(vec![case.apply_to(span(pipeline.new_trace(), 2, 1))]);
        let sent = envelopes[0].items()[0].json().expect("JSON")["items"][0].clone();
        let typed = sent["attributes"].as_object().expect("attributes");
        let mut attributes: Map<_, _> =
            typed.iter().map(|(key, typed)| (key.clone(), typed["value"].clone())).collect();
        Self {
            op: attributes.remove("sentry.op").unwrap_or_default(),
            name: sent["name"].clone(),
            status: sent["status"].clone(),
            attributes,
            linked: linked(&sent["links"]),
        }
    }

    fn check(&self, page: &Page, form: usize, own: &BTreeMap<String, Value>) {
        assert_eq!((&self.op, &self.name), (&page.op[form], &page.names[form]), "op and name");
        if let Some(result) = &page.result {
            assert_eq!(self.status, result[form]);
        }
        for (key, value) in page.has.iter().chain(own) {
            assert_eq!(self.attributes.get(key).unwrap_or(&Value::Null), value, "{key}");
        }
        if let Some(linked) = &page.linked {
            assert_eq!(json!(self.linked), json!(linked));
        }
    }
}

fn pipelines(set_up: impl Fn(SentryExporterBuilder) -> SentryExporterBuilder) -> [Pipeline; 2] {
    // All spans are in the transaction then.
    let transactions = Pipeline::start(|exporter| set_up(exporter).with_gen_ai_span_items(false));
    [transactions, Pipeline::start(|exporter| set_up(exporter).with_lifecycle(TraceLifecycle::Stream))]
}

#[test]
fn the_page_of_a_module_gets_what_it_needs_in_both_lifecycles() {
    let [transactions, stream] = pipelines(|exporter| exporter);
    for module in MODULES {
        each(&format!("modules/{module}"), |Joined(span, page): &Joined<SpanCase, Page>| {
            Sent::in_transaction(&transactions, span).check(page, 0, &page.transaction);
            Sent::in_stream(&stream, span).check(page, 1, &page.stream);
        });
    }
}

/// The attributes in the first column of the tables in the guide, by the name of the section.
fn rows_of_the_guide() -> BTreeMap<String, BTreeSet<String>> {
    let mut rows = BTreeMap::<_, BTreeSet<_>>::new();
    let mut section = String::new();
    for line in include_str!("../../src/guide/modules.md").lines() {
        if let Some(title) = line.strip_prefix("# ") {
            section = title.split('`').nth(1).unwrap_or_default().to_owned();
        }
        let column = line.strip_prefix("| ").and_then(|line| line.split('|').next()).unwrap_or_default();
        let keys = column.split('`').skip(1).step_by(2).filter(|key| key.contains('.')).map(str::to_owned);
        rows.entry(section.clone()).or_default().extend(keys);
    }
    rows
}

#[test]
fn each_row_of_the_guide_has_a_case() {
    let rows = rows_of_the_guide();
    for module in MODULES {
        let cases = RefCell::new(BTreeSet::new());
        each(&format!("modules/{module}"), |Joined(_, page): &Joined<SpanCase, Page>| {
            let has = page.has.iter().chain(&page.transaction).chain(&page.stream);
            cases.borrow_mut().extend(has.filter(|(_, value)| !value.is_null()).map(|(key, _)| key.clone()));
        });
        let rows = rows.get(module).unwrap_or_else(|| panic!("the guide has no section for `{module}`"));
        assert!(!rows.is_empty() || module == "jobs", "the section for `{module}` has no rows");
        let missing: Vec<_> = rows.difference(&cases.borrow()).cloned().collect();
        assert!(missing.is_empty(), "{module}: no case has {missing:?}");
    }
}

#[test]
fn prompts_and_answers_are_off_by_one_switch() {
    let contents = [
        "gen_ai.input.messages",
        "gen_ai.prompt.0.content",
        "gen_ai.request.messages",
        "gen_ai.output.messages",
        "gen_ai.response.text",
        "gen_ai.response.tool_calls",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.message",
        "mcp.request.argument.city",
        "mcp.tool.result.content",
    ];
    let stay = ["gen_ai.operation.name", "gen_ai.request.model", "gen_ai.prompt.name", "mcp.method.name"];
    for includes in [true, false] {
        for pipeline in pipelines(|exporter| exporter.with_include_prompts(includes).with_default_scrubbing(false)) {
            let trace_id = pipeline.new_trace();
            let mut chat = span(trace_id, 2, 1);
            let attributes = |key: &'static str| KeyValue::new(key, "geheim");
            chat.attributes = contents.into_iter().chain(stay).map(attributes).collect();
            let envelopes = pipeline.send(vec![chat, span(trace_id, 1, 0)]);
            let sent: String =
                envelopes.iter().map(|envelope| envelope.items()[0].json().expect("JSON").to_string()).collect();
            // Several old keys have one new name.
            let found = sent.matches("geheim").count();
            assert_eq!(found >= stay.len() + 5, includes, "{found} in {sent}");
            assert!(stay.iter().all(|key| sent.contains(key)), "{sent}");
            for key in contents.iter().filter(|_| !includes) {
                assert!(!sent.contains(&format!("{key:?}")), "{key} in {sent}");
            }
        }
    }
}
