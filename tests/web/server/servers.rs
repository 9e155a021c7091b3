//! `ServerLayer` around services of hyper and tonic; the other tests use axum.

use std::{
    convert::Infallible,
    task::{self, Poll},
    time::SystemTime,
};

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use opentelemetry::{
    global,
    trace::{FutureExt, Span, Tracer},
};
use opentelemetry_http::Bytes;
use opentelemetry_sentry::web::ServerLayer;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Status, body::Body, server::NamedService, transport};
use tower::{Layer, Service, service_fn};
use tracing::Instrument;

use crate::support::{STAGE, headers, new_trace};

/// Switches to a protocol in which each message is sent back, with a span for each.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let messages = async {
        let mut socket = TokioIo::new(upgrade.await.expect("the client agrees"));
        let mut message = [0; 2];
        while socket.read_exact(&mut message).await.is_ok() {
            global::tracer("test").start("message").end();
            socket.write_all(&message).await.expect("the client reads");
        }
    };
    tokio::spawn(messages.in_current_span());
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    response.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
    Ok(response)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_connection_belongs_to_its_request_if_it_is_served_in_its_span() {
    let _ = &*STAGE;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
    let (connection, _) = listener.accept().await.expect("a connection");
    let service = TowerToHyperService::new(ServerLayer::new().layer(service_fn(echo)));
    let served = http1::Builder::new().serve_connection(TokioIo::new(connection), service).with_upgrades();
    tokio::spawn(served);

    let trace_id = new_trace();
    let mut head = String::from("GET /echo HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: echo\r\n");
    for (name, value) in &headers(&trace_id, "-1") {
        head += &format!("{name}: {}\r\n", value.to_str().expect("text"));
    }
    client.write_all(format!("{head}\r\n").as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.expect("a whole head"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    let upgraded = SystemTime::now();
    for message in [b"hi", b"ho"] {
        client.write_all(message).await.expect("the server reads");
        let mut echo = [0; 2];
        client.read_exact(&mut echo).await.expect("an echo");
        assert_eq!(echo, *message);
    }
    drop(client);

    let sent = STAGE.transaction(&trace_id);
    assert_eq!(sent.context()["status"], "ok");
    assert_eq!(sent.context()["data"]["http.response.status_code"], 101);
    assert!(STAGE.end_of(sent.context()) >= upgraded);
    let parents: Vec<_> = sent.spans().iter().map(|span| &span["parent_span_id"]).collect();
    assert_eq!(parents, [&sent.context()["span_id"]; 2]);
}

/// A service as tonic generates them, with an answer for each method.
#[derive(Clone)]
struct Stock;

impl NamedService for Stock {
    const NAME: &'static str = "shop.Stock";
}

impl Service<Request<Body>> for Stock {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let status = match request.uri().path() {
            "/shop.Stock/Get" => Status::not_found("no such lamp"),
            _ => Status::internal("no cable"),
        };
        let query = async {
            global::tracer("test").start("query").end();
            Ok(status.into_http())
        };
        Box::pin(query.with_current_context())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_tonic_are_transactions_with_the_status_of_the_call() {
    let _ = &*STAGE;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = transport::Server::builder().layer(ServerLayer::new()).add_service(Stock);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    for (method, status) in [("Get", "not_found"), ("Put", "internal_error")] {
        let trace_id = new_trace();
        let call = client.post(format!("{url}/shop.Stock/{method}")).headers(headers(&trace_id, "-1"));
        let answer = call.header("content-type", "application/grpc").send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let sent = STAGE.transaction(&trace_id);
        assert_eq!(sent.context()["status"], status);
        assert_eq!(sent.context()["data"]["url.path"], format!("/shop.Stock/{method}"));
        let parents: Vec<_> = sent.spans().iter().map(|span| &span["parent_span_id"]).collect();
        assert_eq!(parents, [&sent.context()["span_id"]], "{method}");
        assert_eq!(sent.context()["data"]["error.type"], Value::Null);
    }
}
