//! Requests that a tunnel must not forward.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{self, Poll},
    time::Duration,
};

use axum::Router;
use http::{Method, Request};
use http_body::{Body, Frame};
use opentelemetry_http::Bytes;
use opentelemetry_sentry::{exporter::testing::LocalIngest, web::Tunnel};
use tower::ServiceExt;

use crate::{
    support::{http_client, serve},
    tunnel::envelope,
};

const LIMIT: usize = 256 << 10;
const CHUNK: usize = 64 << 10;

fn tunnel(dsn: &str) -> Tunnel {
    Tunnel::builder().with_dsn(dsn).with_max_body_size(LIMIT).build().expect("a tunnel")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_envelopes_for_the_listed_projects_are_forwarded() {
    let ingest = LocalIngest::start().expect("a free port");
    let port = ingest.address().port();
    let dsn = format!("http://public@localhost:{port}/1");
    let url = serve(Router::new().fallback_service(tunnel(&dsn))).await;
    for (dsn, status) in [
        (dsn.clone(), 200),
        (format!("http://public@LocalHost:{port}/1"), 200),
        (format!("https://public@localhost:{port}/1"), 403),
        (format!("http://other@localhost:{port}/1"), 403),
        (format!("http://Public@localhost:{port}/1"), 403),
        (format!("http://public@localhost:{port}/2"), 403),
        (format!("http://public@localhost:{port}/path/1"), 403),
        (format!("http://public@localhost:{port}/1/../2"), 403),
        ("http://public@localhost/1".to_owned(), 403),
        (format!("http://public@127.0.0.1:{port}/1"), 403),
        (format!("http://public@localhost.:{port}/1"), 403),
        (format!("http://public@localhost.evil.example:{port}/1"), 403),
        (format!("http://public@evil.example:{port}/1"), 403),
        ("http://public@169.254.169.254/1".to_owned(), 403),
        (format!("http://public@[::1]:{port}/1"), 403),
        (format!("http://public@localhost:{port}@evil.example/1"), 400),
        (format!("http://evil.example@public@localhost:{port}/1"), 400),
        (format!("http://public@evil.example#@localhost:{port}/1"), 400),
        (format!("http://public@evil.example?@localhost:{port}/1"), 400),
        (format!("http://public@evil.example\\\\@localhost:{port}/1"), 400),
        (format!("http://public@localhost\\u0000:{port}/1"), 400),
        (format!("http://public@localhost:{port}\\r\\nhost: evil/1"), 400),
        (format!("file://public@localhost:{port}/1"), 400),
        (format!("//public@localhost:{port}/1"), 400),
        (String::new(), 400),
    ] {
        let answer = http_client().post(&url).body(envelope(&dsn)).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{dsn}");
    }
    assert_eq!(ingest.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_an_envelope_is_400() {
    let ingest = LocalIngest::start().expect("a free port");
    let dsn = ingest.dsn();
    let url = serve(Router::new().fallback_service(tunnel(&dsn))).await;
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    for body in [
        Vec::new(),
        b"\n".to_vec(),
        b"{}\n".to_vec(),
        b"{\"dsn\":null}\n".to_vec(),
        b"{\"dsn\":1}\n{}".to_vec(),
        b"\xff\xfe\n".to_vec(),
        gzip,
        format!("[\"{dsn}\"]\n").into_bytes(),
        format!("\n{}", envelope(&dsn)).into_bytes(),
        format!("{{\"dsn\":\"{dsn}\",\"dsn\":\"{dsn}\"}}\n").into_bytes(),
        format!("{{\"dsn\":\"{dsn}\",\"\\u0064sn\":\"http://public@evil.example/1\"}}\n").into_bytes(),
        format!("{{\"dsn\":\"{dsn}\"}} {{\"dsn\":\"http://public@evil.example/1\"}}\n").into_bytes(),
        format!("{{\"dsn\":\n\"{dsn}\"}}\n").into_bytes(),
        format!("{{\"dsn\":\"{dsn}\",\"a\":{}}}\n", "[".repeat(10_000)).into_bytes(),
        // A huge first line, with a line break at its end and without.
        format!("{{\"dsn\":\"{dsn}\",\"a\":\"{}\"}}\n", "a".repeat(20_000)).into_bytes(),
        vec![b' '; 20_000],
    ] {
        let text = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        let answer = http_client().post(&url).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{text}");
    }
    assert_eq!(ingest.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_compressed_envelopes_are_refused() {
    let ingest = LocalIngest::start().expect("a free port");
    let url = serve(Router::new().fallback_service(tunnel(&ingest.dsn()))).await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let request = http_client().request(method, &url).body(envelope(&ingest.dsn()));
        let answer = request.send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (405, &"POST".parse().unwrap()));
    }
    for (encoding, status) in
        [("gzip", 400), ("br", 400), ("zstd", 400), ("lz4", 415), ("identity, gzip", 415), ("Identity", 200)]
    {
        let request = http_client().post(&url).header("content-encoding", encoding).body(envelope(&ingest.dsn()));
        assert_eq!(request.send().await.expect("an answer").status(), status, "{encoding}");
    }
    assert_eq!(ingest.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_100_mb_is_refused_by_its_length_before_it_is_read() {
    let url = serve(Router::new().fallback_service(tunnel("http://public@127.0.0.1:1/1"))).await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("a server");
    let head = "POST / HTTP/1.1\r\nhost: tunnel\r\ncontent-length: 100000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("an open connection");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_may_be_as_large_as_the_limit_and_no_larger() {
    let ingest = LocalIngest::start().expect("a free port");
    let body = envelope(&ingest.dsn());
    for (limit, status) in [(body.len(), 200), (body.len() - 1, 413)] {
        let tunnel = Tunnel::builder().with_dsn(ingest.dsn()).with_max_body_size(limit).build().expect("a tunnel");
        let request = Request::post("/").body(Endless::after(body.clone()).ending()).expect("a request");
        assert_eq!(tunnel.oneshot(request).await.expect("an answer").status(), status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_is_read_only_as_far_as_needed() {
    let dsn = "http://public@127.0.0.1:1/1";
    for (start, status, most) in [
        (envelope(dsn), 413, LIMIT + CHUNK),
        (envelope("http://public@evil.example/1"), 403, 0),
        ("{}\n".to_owned(), 400, 0),
        ("{".to_owned(), 400, CHUNK),
    ] {
        let body = Endless::after(start.clone());
        let read = Arc::clone(&body.read);
        let request = Request::post("/").body(body).expect("a request");
        assert_eq!(tunnel(dsn).oneshot(request).await.expect("an answer").status(), status, "{start}");
        assert!(read.load(Ordering::Relaxed) <= most, "{start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_or_fails_gets_an_answer() {
    let dsn = "http://public@127.0.0.1:1/1";
    for (then, status) in [(Then::Pending, 408), (Then::Broken, 400)] {
        let tunnel =
            Tunnel::builder().with_dsn(dsn).with_timeout(Duration::from_millis(200)).build().expect("a tunnel");
        let request = Request::post("/").body(Endless { then, ..Endless::after(envelope(dsn)) }).expect("a request");
        assert_eq!(tunnel.oneshot(request).await.expect("an answer").status(), status);
    }
}

/// A body that begins with a text and goes on as `then` says.
struct Endless {
    start: Option<String>,
    then: Then,
    /// The number of bytes that were read after the text.
    read: Arc<AtomicUsize>,
}

enum Then {
    Chunks,
    End,
    Pending,
    Broken,
}

impl Endless {
    fn after(start: String) -> Self {
        Self { start: Some(start), then: Then::Chunks, read: Arc::default() }
    }

    fn ending(self) -> Self {
        Self { then: Then::End, ..self }
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(Frame::data(start.into()))));
        }
        match self.then {
            Then::Chunks => {
                self.read.fetch_add(CHUNK, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'a'; CHUNK])))))
            }
            Then::End => Poll::Ready(None),
            Then::Pending => Poll::Pending,
            Then::Broken => Poll::Ready(Some(Err(io::Error::other("no cable")))),
        }
    }
}
