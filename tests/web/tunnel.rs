//! The tunnel for envelopes of browsers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderMap, HeaderName, Request, Response, Uri};
use opentelemetry::{
    Context,
    trace::{FutureExt, TraceContextExt},
};
use opentelemetry_http::Bytes;
use opentelemetry_sentry::{
    exporter::testing::{Answer, LocalIngest},
    web::Tunnel,
};
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    client::{Answering, Client},
    support::{STAGE, http_client, root, serve},
};

/// An envelope of a browser for this DSN.
pub(crate) fn envelope(dsn: &str) -> String {
    format!(
        "{{\"sent_at\":\"2026-11-21T00:00:00.000Z\",\"dsn\":\"{dsn}\"}}\n{{\"type\":\"client_report\"}}\n{{\"é\": 1}}"
    )
}

/// Serves a tunnel to these DSNs on a free port, and returns its URL.
async fn tunnel_to(dsns: &[String]) -> String {
    let builder = dsns.iter().fold(Tunnel::builder(), |builder, dsn| builder.with_dsn(dsn));
    mounted(builder.build().expect("a tunnel")).await
}

async fn mounted(tunnel: Tunnel) -> String {
    format!("{}/tunnel", serve(Router::new().route_service("/tunnel", tunnel)).await)
}

async fn post(url: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
    // The headers that the browser's SDK sends.
    let request = http_client().post(url).header("content-type", "text/plain;charset=UTF-8");
    request.header("user-agent", "Firefox").header("cookie", "session=1").body(body).send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_is_forwarded_unchanged() {
    let ingest = LocalIngest::start().expect("a free port");
    let url = tunnel_to(&[ingest.dsn()]).await;
    let sent = envelope(&ingest.dsn());
    let answer = post(&url, sent.clone()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers().get("access-control-allow-origin"), None);

    let [request] = &ingest.requests()[..] else { panic!("one request") };
    assert_eq!((request.body_size(), request.query()), (sent.len(), None));
    assert_eq!(request.header("content-type"), Some("application/x-sentry-envelope"));
    assert_eq!(request.header("user-agent"), Some("Firefox"));
    for name in ["cookie", "x-forwarded-for", "x-sentry-auth", "sentry-trace", "baggage", "traceparent"] {
        assert_eq!(request.header(name), None, "{name}");
    }
    assert_eq!(ingest.envelopes()[0].items()[0].payload(), "{\"é\": 1}".as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_envelope_is_forwarded_as_it_came_and_the_answer_is_passed_back() {
    let ingest = LocalIngest::start().expect("a free port");
    let url = tunnel_to(&[ingest.dsn()]).await;
    // As large as an envelope of Node's SDK that it compresses, and incompressible.
    let noise: String =
        (0..60_000_u32).map(|number| number.wrapping_mul(2_654_435_761) % 10).map(|n| n.to_string()).collect();
    let plain = envelope(&ingest.dsn()).replace("{\"é\": 1}", &format!("{{\"noise\":{noise:?}}}"));
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let body = compressed(encoding, plain.as_bytes());
        let sent = body.len();
        let request = http_client().post(&url).header("content-encoding", encoding).body(body);
        let answer = request.send().await.expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        assert!(serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).is_ok(), "Sentry's body");
        let requests = ingest.requests();
        let request = requests.last().expect("a request");
        assert_eq!((request.header("content-encoding"), request.body_size()), (Some(encoding), sent));
    }
    let payloads = ingest.envelopes().into_iter().map(|envelope| envelope.items()[0].payload().len());
    assert_eq!(payloads.collect::<Vec<_>>(), [noise.len() + 12; 4]);
}

fn compressed(encoding: &str, text: &[u8]) -> Vec<u8> {
    use flate2::{Compression, read};
    use std::io::Read;
    let mut body = Vec::new();
    match encoding {
        "gzip" => read::GzEncoder::new(text, Compression::default()).read_to_end(&mut body),
        "deflate" => read::ZlibEncoder::new(text, Compression::default()).read_to_end(&mut body),
        "br" => brotli::CompressorReader::new(text, 4096, 5, 20).read_to_end(&mut body),
        _ => zstd::stream::read::Encoder::new(text, 3).and_then(|mut encoder| encoder.read_to_end(&mut body)),
    }
    .expect("memory");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listed_project_gets_its_own_envelopes() {
    let ingests = [LocalIngest::start().expect("a free port"), LocalIngest::start().expect("a free port")];
    let url = tunnel_to(&[ingests[0].dsn(), ingests[1].dsn()]).await;
    for ingest in &ingests {
        assert_eq!(post(&url, envelope(&ingest.dsn())).await.status(), 200);
    }
    assert_eq!(ingests.map(|ingest| ingest.envelopes().len()), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_in_sentrys_answer_are_passed_back() {
    let ingest = LocalIngest::start().expect("a free port");
    let url = tunnel_to(&[ingest.dsn()]).await;
    let limits = "60:transaction:project, 2700:error:organization";
    let answer = Answer::status(429).with_header("Retry-After", "60").with_header("X-Sentry-Rate-Limits", limits);
    ingest.answer_with(answer.with_header("X-Sentry-Error", "quota").with_header("Set-Cookie", "a=b"));
    let answer = post(&url, envelope(&ingest.dsn())).await;
    assert_eq!(answer.status(), 429);
    let headers = answer.headers();
    assert_eq!(
        (&headers["retry-after"], &headers["x-sentry-rate-limits"]),
        (&"60".parse().unwrap(), &limits.parse().unwrap())
    );
    assert_eq!((&headers["x-sentry-error"], headers.get("set-cookie")), (&"quota".parse().unwrap(), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_upstream_is_500() {
    let elsewhere = LocalIngest::start().expect("a free port");
    let ingest = LocalIngest::start().expect("a free port");
    let builder = Tunnel::builder().with_dsn(ingest.dsn()).with_timeout(Duration::from_millis(100));
    let url = mounted(builder.build().expect("a tunnel")).await;
    let location = format!("http://{}/api/1/envelope/", elsewhere.address());
    for answer in
        [Answer::close(), Answer::hang(), Answer::status(307).with_header("location", location), Answer::status(304)]
    {
        ingest.answer_with(answer.clone());
        let response = post(&url, envelope(&ingest.dsn())).await;
        assert_eq!((response.status().as_u16(), response.headers().get("location")), (500, None), "{answer:?}");
    }
    assert_eq!(elsewhere.requests().len(), 0);

    let dsn = ingest.dsn();
    drop(ingest);
    assert_eq!(post(&url, envelope(&dsn)).await.status(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_address_is_forwarded_if_a_header_is_set_for_it() {
    let ingest = LocalIngest::start().expect("a free port");
    for (header, expected) in [(None, None), (Some("x-real-ip"), Some("203.0.113.7"))] {
        let builder = Tunnel::builder().with_dsn(ingest.dsn());
        let builder = match header {
            Some(header) => builder.with_client_address_from(HeaderName::from_static(header)),
            None => builder,
        };
        let url = mounted(builder.build().expect("a tunnel")).await;
        let request = http_client().post(url).header("x-real-ip", "203.0.113.7").header("x-forwarded-for", "1.1.1.1");
        assert_eq!(request.body(envelope(&ingest.dsn())).send().await.expect("an answer").status(), 200);
        assert_eq!(ingest.requests().last().expect("a request").header("x-forwarded-for"), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tunnel_sends_without_spans_and_trace_headers() {
    const DSN: &str = "https://public:secret@o1.ingest.sentry.io/2";
    type Seen = (Uri, HeaderMap, bool);
    let seen: Arc<Mutex<Option<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    // A client that starts a span, and records the request and whether telemetry is suppressed.
    let client = Client(move |request: Request<Bytes>| -> Answering {
        let log = Arc::clone(&log);
        Box::pin(async move {
            tracing::info_span!("connect").in_scope(|| ());
            let suppressed = Context::map_current(Context::is_telemetry_suppressed);
            *log.lock().expect("no panic") = Some((request.uri().clone(), request.headers().clone(), suppressed));
            Ok(Response::new(Bytes::new()))
        })
    });
    let tunnel = Tunnel::builder().with_dsn(DSN).with_http_client(client).build().expect("a tunnel");
    let (cx, trace_id) = root("work");
    let request = Request::post("/tunnel").body(Body::from(envelope("https://public@o1.ingest.sentry.io/2")));
    let answer = tunnel.oneshot(request.expect("a request")).with_context(cx.clone()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    cx.span().end();

    assert_eq!(STAGE.transaction(&trace_id).spans(), [] as [Value; 0]);
    let (url, headers, suppressed) = seen.lock().expect("no panic").take().expect("a request");
    assert_eq!(url, "https://o1.ingest.sentry.io/api/2/envelope/");
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["content-type"]);
    assert!(suppressed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_without_a_dsn_refuses_every_envelope() {
    let url = mounted(Tunnel::builder().with_dsn(" ").build().expect("a tunnel")).await;
    assert_eq!(post(&url, envelope("https://public@o1.ingest.sentry.io/2")).await.status(), 403);
}

#[test]
fn the_error_for_an_invalid_dsn_does_not_show_its_secret() {
    let error = Tunnel::builder().with_dsn("https://public:secret@sentry.io/x").build().expect_err("no project");
    assert!(
        error.to_string().starts_with("with_dsn: the project id") && !format!("{error} {error:?}").contains("secret")
    );
}
