//! To which URLs headers are sent: `tests/vectors/propagation_targets.json`.

use std::{collections::HashMap, error::Error};

use opentelemetry::propagation::Injector;
use opentelemetry_sentry_propagator::PropagationTargets;
use opentelemetry_sentry_protocol::InvalidDsn;
use opentelemetry_sentry_vectors::each;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    Text(String),
    Regex(String),
}

#[test]
fn propagation_targets() {
    #[derive(Deserialize)]
    struct Case {
        url: Option<String>,
        targets: Option<Vec<Target>>,
        propagate: bool,
    }
    each("propagation_targets", |case: &Case| {
        let targets = match case.targets.as_deref() {
            None => PropagationTargets::everywhere(),
            Some([]) => PropagationTargets::nowhere(),
            Some(targets) => {
                let builder = targets.iter().fold(PropagationTargets::builder(), |builder, target| match target {
                    Target::Text(text) => builder.with_text(text),
                    Target::Regex(pattern) => builder.with_regex(pattern),
                });
                builder.build().unwrap()
            }
        };
        // A client that does not know the URL sends the headers.
        let propagates = case.url.as_ref().is_none_or(|url| targets.matches(url));
        assert_eq!(propagates, case.propagate);
    });
}

#[test]
fn sentry_itself_never_gets_headers() {
    let targets = PropagationTargets::builder().without_dsn("http://public@Sentry.local:9000/1").build().unwrap();
    assert!(!targets.matches("http://sentry.local:9000/api/1/envelope/"));
    assert!(!targets.matches("http://user@SENTRY.local:9000"));
    assert!(targets.matches("http://sentry.local/"), "another port is another server");
    assert!(targets.matches("http://other.local/sentry.local:9000"));
}

#[test]
fn an_injector_passes_on_all_or_nothing() {
    let targets = PropagationTargets::builder().with_text("a.b").build().unwrap();
    for (url, passes) in [("http://a.b/", true), ("http://axb/", false)] {
        let mut headers = HashMap::new();
        targets.injector(url, &mut headers).set("name", "value".to_owned());
        assert_eq!(headers.contains_key("name"), passes, "{url}");
    }
}

#[test]
fn an_invalid_pattern_is_shown_and_its_error_is_the_source() {
    let error = PropagationTargets::builder().with_regex("(").build().unwrap_err();
    assert!(
        error.to_string().starts_with("with_regex: a target must be a regular expression, found \"(\": "),
        "{error}"
    );
    assert!(error.source().is_some_and(|source| error.to_string().ends_with(&source.to_string())));
    let error = PropagationTargets::builder().without_dsn("nowhere").build().unwrap_err();
    assert!(error.source().is_some_and(|source| source.is::<InvalidDsn>()));
}
