//! A client that is nothing but a socket, and the envelopes that it sends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use opentelemetry_sentry_testing::{LocalIngest, RecordedRequest};
use serde_json::{Value, json};

pub(crate) const ID: &str = "9ec79c33ec9942ab8353589fcb2e04dc";
pub(crate) const AUTH: &str = "X-Sentry-Auth: Sentry sentry_version=7, sentry_client=t/1, sentry_key=public";
pub(crate) const TYPE: &str = "Content-Type: application/x-sentry-envelope";
pub(crate) const PATH: &str = "/api/1/envelope/";
/// Only a test that hangs waits this long.
pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const NONE: Duration = Duration::ZERO;

pub(crate) struct Client(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

impl Client {
    pub(crate) fn new(ingest: &LocalIngest) -> Self {
        let stream = TcpStream::connect(ingest.address()).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("it reads");
    }

    pub(crate) fn request(&mut self, line: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes());
        self.send(body);
    }

    pub(crate) fn envelope(&mut self, body: &[u8]) {
        self.request(&format!("POST {PATH}"), &[AUTH, TYPE], body);
    }

    /// Reads the next response; `None` if the ingest closes the connection instead.
    pub(crate) fn response(&mut self) -> Option<Response> {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1)?.parse().expect("a status");
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        let length = response.header("content-length").map_or(0, |v| v.parse().expect("a length"));
        response.body.resize(length, 0);
        self.0.read_exact(&mut response.body).expect("a whole body");
        Some(response)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line or the end");
        line.trim_end().to_owned()
    }
}

pub(crate) fn post(ingest: &LocalIngest, line: &str, headers: &[&str], body: &[u8]) -> Response {
    let mut client = Client::new(ingest);
    client.request(line, headers, body);
    client.response().expect("a response")
}

pub(crate) fn post_envelope(ingest: &LocalIngest, headers: &[&str], body: &[u8]) -> Response {
    let headers = [&[AUTH, TYPE], headers].concat();
    post(ingest, &format!("POST {PATH}"), &headers, body)
}

pub(crate) fn start() -> LocalIngest {
    LocalIngest::start().expect("a free port")
}

pub(crate) fn transaction(name: &str) -> Vec<u8> {
    let payload = json!({ "type": "transaction", "transaction": name }).to_string();
    let length = payload.len();
    format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"transaction\",\"length\":{length}}}\n{payload}\n").into_bytes()
}

pub(crate) fn names(ingest: &LocalIngest) -> Vec<String> {
    let name = |event: &Value| event["transaction"].as_str().unwrap_or("?").to_owned();
    ingest.transactions().iter().map(name).collect()
}

pub(crate) fn statuses(ingest: &LocalIngest) -> Vec<Option<u16>> {
    let requests = ingest.requests();
    requests.iter().map(RecordedRequest::status).collect()
}
