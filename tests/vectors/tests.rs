//! Bad case files, each with what the reader says about it.

use std::{collections::BTreeMap, fmt::Debug};

use opentelemetry::{Array, KeyValue, Value, trace::SpanKind};
use serde::Deserialize;

use super::{Attributes, Joined, Kind, TextOr, failures, folder, named, read, run, text_of};

#[derive(Debug, Deserialize, PartialEq)]
struct Case {
    input: u8,
    note: Option<String>,
    #[serde(default)]
    inner: Vec<Inner>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Inner {
    #[serde(rename = "deep")]
    _deep: bool,
}

fn error<C: serde::de::DeserializeOwned + Debug>(text: &str) -> String {
    read::<C>(text).expect_err("the file is wrong")
}

#[test]
fn cases_are_read_in_order_with_their_names() {
    let cases = read::<Case>(r#"[{"name": "a", "input": 1}, {"note": "n", "name": "b", "input": 2}]"#).unwrap();
    let case = |input, note: Option<&str>| Case { input, note: note.map(str::to_owned), inner: Vec::new() };
    assert_eq!(cases, [("a".to_owned(), case(1, None)), ("b".to_owned(), case(2, Some("n")))]);
}

#[test]
fn unknown_keys_are_errors_at_any_depth() {
    assert_eq!(error::<Case>(r#"[{"name": "a", "input": 1, "note ": "n"}]"#), r#""a": note : unknown key"#);
    let text = r#"[{"name": "a", "input": 1, "inner": [{"deep": true, "deeper": [{}]}]}]"#;
    assert_eq!(error::<Case>(text), r#""a": inner: deeper: unknown key"#);
}

#[test]
fn a_key_that_occurs_twice_is_an_error_at_any_depth() {
    for text in [
        r#"[{"name": "a", "input": 1, "input": 1}]"#,
        r#"[{"name": "a", "input": 1, "inner": [{"x": [{"input": 1, "\u0069nput": 2}]}]}]"#,
        r#"[{"input": 1, "name": "input", "name": "a", "input": 1}]"#,
    ] {
        let error = error::<Case>(text);
        assert!(error.starts_with("the key \"") && error.contains("occurs twice at line 1"), "{error}");
    }
}

#[test]
fn two_cases_of_a_file_cannot_share_a_name() {
    let text = r#"[{"name": "a", "input": 1}, {"name": "b", "input": 1}, {"name": "a", "input": 2}]"#;
    assert_eq!(error::<Case>(text), r#"two cases are named "a""#);
}

#[test]
fn every_case_needs_a_name_and_every_file_a_case() {
    assert_eq!(error::<Case>("[]"), "no case");
    assert_eq!(error::<Case>(r#"[{"name": "a", "input": 1}, {"input": 1}]"#), "case 2 has no name");
    assert_eq!(error::<Case>(r#"[{"name": 1, "input": 1}]"#), "case 1 has no name");
    assert!(error::<Case>(r#"[{"name": "a"}]"#).starts_with(r#""a": missing field `input`"#));
}

#[test]
fn readers_that_would_ignore_keys_are_refused() {
    #[derive(Debug, Deserialize)]
    struct Flattening {
        #[serde(flatten)]
        _case: Case,
    }
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Case {
            #[serde(rename = "input")]
            _input: u8,
        },
    }
    let text = r#"[{"name": "a", "input": 1, "misspelt": 1}]"#;
    assert_eq!(error::<Flattening>(text), r#""a": struct Flattening flattens another one: use `Joined`"#);
    assert_eq!(error::<Untagged>(text), r#""a": an untagged enum reads an object: use `TextOr`"#);
    let error = error::<Joined<Flattening, Inner>>(text);
    assert!(error.contains("must be a struct without"), "{error}");
}

#[test]
fn two_structs_share_one_object() {
    let text = r#"[{"name": "a", "deep": true, "input": 1}]"#;
    let (_, Joined(case, inner)) = read::<Joined<Case, Inner>>(text).unwrap().remove(0);
    assert_eq!((case.input, inner), (1, Inner { _deep: true }));
    let text = r#"[{"name": "a", "deep": true, "input": 1, "misspelt": 1}]"#;
    assert_eq!(error::<Joined<Case, Inner>>(text), r#""a": misspelt: unknown key"#);
}

#[test]
fn where_a_text_may_be_an_object_or_a_list_that_is_read_strictly_too() {
    type Texts = BTreeMap<String, TextOr<Case>>;
    type Lists = BTreeMap<String, TextOr<Vec<Case>>>;
    let (_, texts) = read::<Texts>(r#"[{"name": "a", "x": "text", "y": {"input": 1}}]"#).unwrap().remove(0);
    assert_eq!(texts["x"], TextOr::Text("text".to_owned()));
    assert!(matches!(&texts["y"], TextOr::Other(case) if case.input == 1));
    assert_eq!(error::<Texts>(r#"[{"name": "a", "y": {"input": 1, "z": 1}}]"#), r#""a": y: z: unknown key"#);
    let (_, lists) = read::<Lists>(r#"[{"name": "a", "x": [{"input": 1}]}]"#).unwrap().remove(0);
    assert!(matches!(&lists["x"], TextOr::Other(cases) if cases[0].input == 1));
    assert_eq!(error::<Lists>(r#"[{"name": "a", "x": [{"input": 1, "z": 1}]}]"#), r#""a": x: z: unknown key"#);
}

#[test]
fn kinds_and_attributes_are_read_strictly() {
    type Span = Joined<OfKind, WithAttributes>;
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct OfKind {
        kind: Kind,
    }
    #[derive(Debug, Deserialize)]
    struct WithAttributes {
        attributes: Attributes,
    }
    let text = r#"[{"name": "a", "kind": "server", "attributes": [["k", 1], ["k", {"f64": ["inf", 1]}]]}]"#;
    let (_, Joined(span, WithAttributes { attributes })) = read::<Span>(text).unwrap().remove(0);
    assert_eq!(span.kind.0, SpanKind::Server);
    let floats = Value::Array(Array::F64(vec![f64::INFINITY, 1.0]));
    assert_eq!(attributes.0, [KeyValue::new("k", 1), KeyValue::new("k", floats)]);
    let unknown = error::<Span>(r#"[{"name": "a", "kind": "Server", "attributes": {}}]"#);
    assert_eq!(unknown, r#""a": kind: unknown kind "Server""#);
    for value in ["null", r#"{"f32": 1}"#, r#"{"f64": 1, "f32": 1}"#, "[1, \"x\"]", "[[1]]"] {
        let error = error::<Span>(&format!(r#"[{{"name": "a", "attributes": {{"k": {value}}}}}]"#));
        assert!(error.starts_with(r#""a": attributes: k: not the value of an attribute"#), "{error}");
    }
}

#[test]
fn failed_cases_are_named() {
    let cases = [("good".to_owned(), 1), ("bad".to_owned(), 2)];
    assert_eq!(failures(cases.into_iter(), |number| assert_eq!(*number, 1)), ["bad"]);
}

#[test]
fn one_case_can_be_run_by_its_name() {
    const FILE: &str = "sample_rand";
    let names: Vec<String> =
        named(&text_of(&folder().join("sample_rand.json"))).unwrap().into_iter().map(|case| case.0).collect();
    let fail = |_: &SampleRand| panic!("as the test wants");
    assert_eq!(run(FILE, None, fail).unwrap(), names);
    assert_eq!(run(FILE, Some(&names[3]), fail).unwrap(), names[3..4]);
    // A case of another file: this file has nothing to run.
    assert_eq!(run(FILE, Some("ok is ok"), fail).unwrap(), [""; 0]);
    let error = run(FILE, Some("misspelt"), fail).unwrap_err();
    assert_eq!(error, r#"no file has the case that VECTOR names: "misspelt""#);
}

/// A case of `sample_rand.json`.
#[derive(Deserialize)]
struct SampleRand {
    #[serde(rename = "trace_id")]
    _trace_id: String,
    #[serde(rename = "expected")]
    _expected: String,
}
