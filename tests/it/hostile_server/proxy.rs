//! Host names that do not resolve, and proxies from the environment.

use std::{collections::BTreeMap, env, time::Duration};

use opentelemetry_sentry::{FlushError, exporter::DropReason};

use super::OK;
use crate::{
    raw_server::{RawServer, Then},
    support::{PATIENCE, assert_gave_up, dropped, end_spans, run_alone, sentry_at},
};

/// The variable with the DSN of the child below.
const DSN: &str = "TEST_DSN";

/// The variable that says whether sending must succeed.
const WORKS: &str = "TEST_WORKS";

#[test]
#[ignore = "the child of the tests below"]
fn sends_one_span() {
    let (Ok(dsn), Ok(works)) = (env::var(DSN), env::var(WORKS)) else { return };
    let sentry = sentry_at(dsn).build().unwrap();
    end_spans(&sentry, 1);
    if works == "yes" {
        assert_eq!((sentry.flush(PATIENCE), dropped(&sentry.stats())), (Ok(()), BTreeMap::new()));
    } else {
        let processor = sentry.span_processor().clone();
        assert_eq!(sentry.flush(TRY), Err(FlushError::Timeout(TRY)), "it is tried until then");
        let reason = assert_gave_up(sentry.shutdown(TRY), 1, TRY, DropReason::NetworkError);
        assert_eq!(dropped(&processor.stats()), BTreeMap::from([(reason, 1)]));
    }
}

/// The timeout of what cannot succeed: long enough for one attempt on a busy machine.
pub(super) const TRY: Duration = Duration::from_secs(2);

const CHILD: &str = "hostile_server::proxy::sends_one_span";

#[test]
fn a_host_that_does_not_exist_is_a_network_error() {
    run_alone(CHILD, &[(DSN, "http://public@does-not-exist.invalid/1"), (WORKS, "no")]);
}

#[test]
fn proxies_are_taken_from_the_environment() {
    let http = "http://public@sentry.invalid/1";
    let https = "https://public@sentry.invalid/1";
    let asked = Some("POST http://sentry.invalid/api/1/envelope/ HTTP/1.1");
    let cases = [
        (http, "HTTP_PROXY", "", asked),
        (http, "http_proxy", "", asked),
        (http, "ALL_PROXY", "other.invalid", asked),
        (http, "HTTP_PROXY", "sentry.invalid", None),
        (http, "HTTP_PROXY", ".invalid", None),
        (http, "HTTPS_PROXY", "", None),
        // This fails, as the proxy has no TLS.
        (https, "HTTPS_PROXY", "", Some("CONNECT sentry.invalid:443 HTTP/1.1")),
        (https, "HTTPS_PROXY", "sentry.invalid", None),
    ];
    for (dsn, variable, exceptions, expected) in cases {
        let proxy = RawServer::saying(OK, Then::Close);
        let url = format!("http://{}", proxy.address());
        let works = if expected == asked { "yes" } else { "no" };
        run_alone(CHILD, &[(DSN, dsn), (WORKS, works), (variable, &url), ("NO_PROXY", exceptions)]);
        let heads = proxy.heads();
        assert_eq!(heads.first().and_then(|head| head.lines().next()), expected, "{variable} {exceptions}");
        // The proxy that makes the tunnel must not see the credentials.
        let is_tunnel = |head: &&String| head.starts_with("CONNECT");
        assert!(heads.iter().filter(is_tunnel).all(|head| !head.to_lowercase().contains("sentry_key")), "{heads:?}");
    }
}

#[test]
fn no_proxy_is_used_for_a_server_on_this_machine() {
    let server = RawServer::saying(OK, Then::Close);
    let proxy = RawServer::saying(OK, Then::Close);
    let url = format!("http://{}", proxy.address());
    run_alone(CHILD, &[(DSN, &server.dsn()), (WORKS, "yes"), ("HTTP_PROXY", &url)]);
    assert_eq!((server.heads().len(), proxy.heads().len()), (1, 0));
}
