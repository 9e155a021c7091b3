//! The wire cases of `tests/vectors/*.json` that are about attributes; their README describes the shapes.

use opentelemetry_sentry_semantics::describe;
use opentelemetry_sentry_vectors::{Attributes, Kind, each};
use serde::Deserialize;

#[test]
fn describe_spans() {
    #[derive(Deserialize)]
    struct Case {
        #[serde(default = "orig")]
        span_name: String,
        kind: Kind,
        attributes: Attributes,
        op: Option<String>,
        description: String,
        source: String,
    }
    fn orig() -> String {
        "orig".to_owned()
    }
    each("describe", |case: &Case| {
        let description = describe(&case.span_name, &case.kind.0, &case.attributes.0);
        assert_eq!(description.op.as_deref(), case.op.as_deref());
        assert_eq!(description.name, case.description);
        assert_eq!(description.source.as_str(), case.source);
    });
}

#[test]
fn describe_streamed_spans() {
    #[derive(Deserialize)]
    struct Case {
        kind: Kind,
        attributes: Attributes,
        op: Option<String>,
        description: String,
        source: String,
    }
    each("describe_streamed", |case: &Case| {
        let attributes = opentelemetry_sentry_semantics::Attributes::new(&case.attributes.0);
        let description = attributes.describe_streamed("orig", &case.kind.0);
        assert_eq!(description.op.as_deref(), case.op.as_deref());
        assert_eq!(description.name, case.description);
        assert_eq!(description.source.as_str(), case.source);
    });
}
