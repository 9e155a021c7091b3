//! The trace headers in a page. There is only one test, because it sets the global propagator.

use opentelemetry::{Context, global, propagation::TextMapPropagator};
use opentelemetry_sentry_propagator::{SentryPropagator, meta_tags, server_timing};

const SPAN: &str = "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a";

#[test]
fn a_page_carries_the_same_values_as_headers() {
    assert_eq!(meta_tags(&extracted("-1", "")), "", "without a propagator there are no elements");
    global::set_text_map_propagator(SentryPropagator::new());
    for (flag, w3c) in [("-1", "01"), ("-0", "00"), ("", "00")] {
        let cx = extracted(flag, "sentry-sample_rand=0.5,sentry-release=<&\"'\\>,tenant=acme");
        assert_eq!(
            meta_tags(&cx),
            format!(
                "<meta name=\"sentry-trace\" content=\"{SPAN}{flag}\"/>\n\
                 <meta name=\"baggage\" content=\"sentry-sample_rand=0.5,sentry-release=&lt;&amp;&quot;&#39;\\&gt;\"/>\n\
                 <meta name=\"traceparent\" content=\"00-{SPAN}-{w3c}\"/>"
            )
        );
        assert_eq!(
            server_timing(&cx).as_deref(),
            Some(&*format!(
                "sentry-trace;desc=\"{SPAN}{flag}\", baggage;desc=\"sentry-sample_rand=0.5,sentry-release=<&\\\"'\\\\>\""
            ))
        );
    }
    let without_baggage = extracted("-1", "tenant=acme");
    assert_eq!(meta_tags(&without_baggage).lines().count(), 2);
    assert_eq!(server_timing(&without_baggage), Some(format!("sentry-trace;desc=\"{SPAN}-1\"")));
    assert_eq!(meta_tags(&Context::new()), "");
    assert_eq!(server_timing(&Context::new()), None);
}

fn extracted(flag: &str, baggage: &str) -> Context {
    let headers = [("sentry-trace", format!("{SPAN}{flag}")), ("baggage", baggage.to_owned())];
    let headers: std::collections::HashMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value)).into();
    SentryPropagator::new().extract_with_context(&Context::new(), &headers)
}
