//! `LocalIngest` against a client that is nothing but a socket.

use std::{
    env,
    error::Error,
    fmt::Debug,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use opentelemetry_sentry_testing::{Answer, Envelope, InvalidEnvelope, LocalIngest, RecordedRequest, WaitTimeout};
use serde::Deserialize;
use serde_json::{Value, json};

const ID: &str = "9ec79c33ec9942ab8353589fcb2e04dc";
const AUTH: &str = "X-Sentry-Auth: Sentry sentry_version=7, sentry_client=t/1, sentry_key=public";
const TYPE: &str = "Content-Type: application/x-sentry-envelope";
const PATH: &str = "/api/1/envelope/";
/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(30);
const NONE: Duration = Duration::ZERO;

// ---- a client ------------------------------------------------------------------------------------

struct Client(BufReader<TcpStream>);

#[derive(Debug)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

impl Client {
    fn new(ingest: &LocalIngest) -> Self {
        let stream = TcpStream::connect(ingest.address()).expect("it listens");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("it reads");
    }

    fn request(&mut self, line: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes());
        self.send(body);
    }

    fn envelope(&mut self, body: &[u8]) {
        self.request(&format!("POST {PATH}"), &[AUTH, TYPE], body);
    }

    /// The next response, or `None` when the connection was closed instead.
    fn response(&mut self) -> Option<Response> {
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

fn post(ingest: &LocalIngest, line: &str, headers: &[&str], body: &[u8]) -> Response {
    let mut client = Client::new(ingest);
    client.request(line, headers, body);
    client.response().expect("a response")
}

fn post_envelope(ingest: &LocalIngest, headers: &[&str], body: &[u8]) -> Response {
    let headers = [&[AUTH, TYPE], headers].concat();
    post(ingest, &format!("POST {PATH}"), &headers, body)
}

fn start() -> LocalIngest {
    LocalIngest::start().expect("a free port")
}

fn transaction(name: &str) -> Vec<u8> {
    let payload = json!({ "type": "transaction", "transaction": name }).to_string();
    let length = payload.len();
    format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"transaction\",\"length\":{length}}}\n{payload}\n").into_bytes()
}

fn names(ingest: &LocalIngest) -> Vec<String> {
    let name = |event: &Value| event["transaction"].as_str().unwrap_or("?").to_owned();
    ingest.transactions().iter().map(name).collect()
}

fn statuses(ingest: &LocalIngest) -> Vec<Option<u16>> {
    let requests = ingest.requests();
    requests.iter().map(RecordedRequest::status).collect()
}

// ---- framing -------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    bytes: String,
    items: Option<usize>,
    payloads: Option<Vec<String>>,
    error: Option<String>,
}

fn framing_cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/envelope_framing.json");
    let text = fs::read_to_string(path).expect("the vectors");
    serde_json::from_str(&text).expect("cases")
}

#[test]
fn envelopes_are_parsed_as_the_vectors_say() {
    for case in framing_cases() {
        let name = &case.name;
        match (Envelope::parse(case.bytes.as_bytes()), case.error) {
            (Ok(envelope), None) => {
                assert_eq!(Some(envelope.items().len()), case.items, "{name}");
                let payloads = envelope.items().iter().map(|item| item.payload());
                let wanted = case.payloads.unwrap_or_default();
                assert!(payloads.eq(wanted.iter().map(String::as_bytes)), "{name}");
            }
            (Err(error), Some(part)) => {
                let message = error.to_string();
                assert!(message.contains(&part), "{name}: {message}");
            }
            (Ok(envelope), Some(_)) => panic!("{name}: {envelope:?}"),
            (Err(error), None) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn broken_framing_is_refused_over_http_too() {
    let ingest = start();
    for case in framing_cases() {
        let Some(part) = case.error else { continue };
        let name = &case.name;
        let response = post_envelope(&ingest, &[], case.bytes.as_bytes());
        assert_eq!(response.status, 400, "{name}");
        let header = response.header("x-sentry-error").expect("a reason");
        assert!(header.contains(&part), "{name}: {header}");
        let body = response.json();
        assert_eq!(body["detail"], "bad envelope", "{name}");
        let cause = body["causes"][0].as_str().expect("a cause");
        assert!(cause.contains(&part), "{name}: {cause}");
    }
    assert_eq!(ingest.envelopes(), []);
}

#[test]
fn accessors_show_what_was_written() {
    let bytes =
        format!("{{\"event_id\":\"{ID}\",\"x\":1,\"trace\":{{\"trace_id\":\"t\"}}}}\n{{\"type\":\"a\",\"y\":2}}\n[3]");
    let envelope = Envelope::parse(bytes.as_bytes()).expect("an envelope");
    assert_eq!(envelope.event_id(), Some(ID));
    assert_eq!(envelope.headers()["x"], 1);
    assert_eq!(envelope.trace().expect("a trace")["trace_id"], "t");
    let item = &envelope.items()[0];
    assert_eq!((item.item_type(), &item.headers()["y"]), ("a", &json!(2)));
    assert_eq!(item.json().expect("JSON"), json!([3]));
}

// ---- what is refused -----------------------------------------------------------------------------

#[test]
fn credentials_are_checked() {
    let sentry = |text: &str| format!("X-Sentry-Auth: {text}");
    let cases = [
        (403, PATH, "", "expected X-Sentry-Auth"),
        (403, PATH, "Sentry sentry_version=7, sentry_key=other", "unknown sentry_key"),
        (403, PATH, "Sentry sentry_version=7, sentry_client=a/1", "expected a sentry_key"),
        (403, PATH, "Sentry sentry_version=6, sentry_key=public", "expected sentry_version 7"),
        (403, PATH, "Sentry sentry_key=public", "expected sentry_version 7"),
        (403, PATH, "Bearer sentry_version=7, sentry_key=public", "to start with `Sentry `"),
        (403, PATH, "Sentry sentry_version=7 sentry_key=public", "expected a sentry_key"),
        (403, PATH, "Sentry public", "of the form name=value"),
        (403, "/api/1/envelope/?sentry_key=public", "", "expected sentry_version 7"),
        (403, "/api/1/envelope/?sentry_key=p&sentry_version=7", "", "unknown sentry_key"),
        (200, PATH, "sENTRY sentry_key=public,sentry_secret=s,sentry_version=7", ""),
        (200, "/api/1/envelope/?sentry_version=7&sentry_key=public&sentry_client=a%2F1", "", ""),
    ];
    let ingest = start();
    for (status, path, auth, reason) in cases {
        let auth = sentry(auth);
        let headers = if auth.ends_with(": ") { vec![TYPE] } else { vec![&auth, TYPE] };
        let response = post(&ingest, &format!("POST {path}"), &headers, b"{}");
        assert_eq!(response.status, status, "{path} {auth}");
        let error = response.header("x-sentry-error").unwrap_or_default();
        assert!(error.contains(reason), "{path} {auth}: {error}");
    }
    assert_eq!(ingest.envelopes().len(), 2);
}

#[test]
fn a_dsn_in_the_envelope_is_a_credential_and_must_be_ours() {
    let ingest = start();
    let cases = [
        (200, "http://public@tunnel.example:9000/1"),
        (200, "https://public:secret@o1.ingest.sentry.io/1"),
        (400, "http://public@localhost/2"),
        (400, "http://other@localhost/1"),
        (400, "nonsense"),
    ];
    for (status, dsn) in cases {
        let body = json!({ "dsn": dsn }).to_string();
        for headers in [vec![TYPE], vec![AUTH, TYPE]] {
            let response = post(&ingest, &format!("POST {PATH}"), &headers, body.as_bytes());
            assert_eq!(response.status, status, "{dsn} {headers:?}");
        }
    }
}

#[test]
fn paths_methods_and_types_are_checked() {
    let cases = [
        (404, "POST /api/1/envelope", AUTH, TYPE),
        (404, "POST /api/2/envelope/", AUTH, TYPE),
        (404, "POST /api/1/store/", AUTH, TYPE),
        (405, "PUT /api/1/envelope/", AUTH, TYPE),
        (405, "GET /stream", AUTH, TYPE),
        (415, "POST /api/1/envelope/", AUTH, "Content-Type: application/json"),
        (415, "POST /api/1/envelope/", AUTH, "Accept: */*"),
        (200, "POST /api/1/envelope/", AUTH, "content-type: Application/X-Sentry-Envelope; a=b"),
    ];
    let ingest = start();
    for (status, line, auth, content_type) in cases {
        let response = post(&ingest, line, &[auth, content_type], b"{}");
        assert_eq!(response.status, status, "{line} {content_type}");
        assert_eq!(response.header("x-sentry-error").is_some(), status != 200, "{line}");
    }
    let wanted: Vec<_> = cases.iter().map(|case| Some(case.0)).collect();
    assert_eq!(statuses(&ingest), wanted);
    assert_eq!(ingest.envelopes().len(), 1);
}

#[test]
fn items_are_checked() {
    let id = format!("{{\"event_id\":\"{ID}\"}}");
    let event = "{\"type\":\"event\"}\n{}\n";
    let transaction = "{\"type\":\"transaction\"}\n{}\n";
    let attachment = "{\"type\":\"attachment\"}\n?\n";
    let log = "{\"type\":\"log\"}\n{}\n";
    let cases = [
        (200, format!("{id}\n{event}{attachment}{attachment}{log}")),
        (200, format!("{{}}\n{log}{log}")),
        (400, format!("{id}\n{event}{event}")),
        (400, format!("{id}\n{transaction}{transaction}")),
        (400, format!("{id}\n{event}{transaction}")),
        (400, format!("{{}}\n{event}")),
        (400, format!("{{}}\n{transaction}")),
        (400, format!("{{}}\n{attachment}")),
        (400, format!("{id}\n{{\"type\":\"transaction\"}}\n[]")),
        (400, format!("{id}\n{{\"type\":\"transaction\"}}\n{{")),
    ];
    let ingest = start();
    for (status, body) in cases {
        let response = post_envelope(&ingest, &[], body.as_bytes());
        assert_eq!(response.status, status, "{body}");
    }
}

#[test]
fn items_have_a_largest_size() {
    const MIB: usize = 1024 * 1024;
    let ingest = start();
    let cases = [
        (200, "transaction", MIB),
        (413, "transaction", MIB + 1),
        (413, "event", MIB + 1),
        (200, "attachment", MIB + 1),
        (413, "client_report", 100 * 1024 + 1),
    ];
    for (status, item_type, size) in cases {
        let payload = format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        assert_eq!(payload.len(), size);
        let body = format!("{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"{item_type}\"}}\n{payload}");
        let response = post_envelope(&ingest, &[], body.as_bytes());
        assert_eq!(response.status, status, "{item_type} of {size}");
    }
}

// ---- compression ---------------------------------------------------------------------------------

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    encoder.write_all(bytes).expect("memory");
    encoder.into_inner()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

type Encode = fn(&[u8]) -> Vec<u8>;

const ENCODINGS: [(&str, Encode); 5] =
    [("gzip", gzip), ("GZIP", gzip), ("deflate", deflate), ("br", brotli), ("zstd", zstd)];

#[test]
fn each_encoding_is_undone() {
    let ingest = start();
    for (name, encode) in ENCODINGS {
        let body = encode(&transaction(name));
        let header = format!("Content-Encoding: {name}");
        let response = post_envelope(&ingest, &[&header], &body);
        assert_eq!(response.status, 200, "{name}");
        let requests = ingest.requests();
        let request = requests.last().expect("it was recorded");
        assert_eq!(request.body_size(), body.len(), "{name}");
        assert_eq!(request.header("content-encoding"), Some(name));
    }
    assert_eq!(names(&ingest), ENCODINGS.map(|(name, _)| name));
}

#[test]
fn broken_compression_is_refused() {
    let ingest = start();
    for (name, encode) in ENCODINGS {
        let header = format!("Content-Encoding: {name}");
        let good = encode(&transaction(name));
        let cut = good[..good.len() - 1].to_vec();
        let longer = [good.as_slice(), b"more"].concat();
        let much_longer = [good.as_slice(), &[b'x'; 9000]].concat();
        let cases = [("cut", cut), ("longer", longer), ("much longer", much_longer), ("plain", transaction(name))];
        for (what, body) in cases {
            let response = post_envelope(&ingest, &[&header], &body);
            assert_eq!(response.status, 400, "{name}, {what}");
            assert_eq!(response.json()["detail"], "body does not decompress", "{name}, {what}");
        }
    }
    assert_eq!(ingest.envelopes(), []);
}

#[test]
fn unknown_encodings_are_refused() {
    let ingest = start();
    for name in ["compress", "gzip, br", "snappy"] {
        let header = format!("Content-Encoding: {name}");
        assert_eq!(post_envelope(&ingest, &[&header], b"{}").status, 415, "{name}");
    }
}

#[test]
fn a_bomb_is_not_unpacked() {
    let ingest = start();
    let blanks = io::repeat(b' ').take(200 * 1024 * 1024);
    let body = zstd::encode_all(b"{}".chain(blanks), 1).expect("memory");
    assert!(body.len() < 1024 * 1024, "{}", body.len());
    let response = post_envelope(&ingest, &["Content-Encoding: zstd"], &body);
    assert_eq!(response.status, 413);
    assert_eq!(response.json()["detail"], "envelope too large");
}

// ---- HTTP ----------------------------------------------------------------------------------------

#[test]
fn chunked_bodies_are_read() {
    let ingest = start();
    let mut client = Client::new(&ingest);
    let head =
        format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{AUTH}\r\n{TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head.as_bytes());
    let body = transaction("chunked");
    for chunk in body.chunks(7) {
        client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
        client.send(chunk);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    let response = client.response().expect("a response");
    assert_eq!((response.status, response.json()), (200, json!({ "id": ID })));
    assert_eq!(names(&ingest), ["chunked"]);
    assert_eq!(ingest.requests()[0].body_size(), body.len());
}

#[test]
fn a_connection_carries_several_envelopes() {
    let ingest = start();
    let mut client = Client::new(&ingest);
    for name in ["first", "second"] {
        client.envelope(&transaction(name));
        assert_eq!(client.response().expect("a response").status, 200);
    }
    assert_eq!(names(&ingest), ["first", "second"]);
}

#[test]
fn a_request_that_breaks_off_is_not_recorded() {
    let ingest = start();
    let mut client = Client::new(&ingest);
    client.send(
        format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n{TYPE}\r\nContent-Length: 9\r\n\r\n{{}}").as_bytes(),
    );
    drop(client);
    post_envelope(&ingest, &[], &transaction("whole"));
    assert_eq!(statuses(&ingest), [Some(200)]);
}

#[test]
fn requests_show_what_was_sent() {
    let ingest = start();
    let refused = format!("POST {PATH}?a=b");
    post(&ingest, &refused, &["User-Agent: t/1", TYPE], b"{}");
    let requests = ingest.requests();
    let request = &requests[0];
    assert_eq!((request.method(), request.path()), ("POST", PATH));
    assert_eq!(request.query(), Some("a=b"));
    assert_eq!(request.header("user-agent"), Some("t/1"));
    assert_eq!(request.headers().len(), 4, "{request:?}");
    assert_eq!((request.status(), request.body_size()), (Some(403), 2));
    let reason = request.refusal().expect("a reason");
    assert!(reason.starts_with("bad credentials: expected"), "{reason}");
}

// ---- answers -------------------------------------------------------------------------------------

#[test]
fn answers_come_in_order_and_then_the_usual_one() {
    let ingest = start();
    ingest.answer_with(Answer::status(503));
    ingest.answer_next([Answer::status(429).with_header("Retry-After", "30"), Answer::ok().with_body("{\"x\":1}")]);
    ingest.answer_next([Answer::status(202)]);
    let mut client = Client::new(&ingest);
    let mut exchange = |body: &[u8]| {
        client.envelope(body);
        client.response().expect("a response")
    };

    let limited = exchange(&transaction("limited"));
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("30")));
    assert_eq!(limited.json(), json!({ "detail": "told to answer 429" }));
    assert_eq!(exchange(b"no envelope").status, 400, "takes no answer away");
    let accepted = exchange(&transaction("accepted"));
    assert_eq!((accepted.status, accepted.json()), (200, json!({ "x": 1 })));
    assert_eq!(exchange(&transaction("accepted too")).status, 202);
    assert_eq!(exchange(&transaction("down")).status, 503);
    assert_eq!(exchange(&transaction("still down")).status, 503);

    assert_eq!(names(&ingest), ["accepted", "accepted too"]);
    let wanted = [429, 400, 200, 202, 503, 503].map(Some);
    assert_eq!(statuses(&ingest), wanted);
}

#[test]
fn an_envelope_without_id_is_answered_without_id() {
    let ingest = start();
    assert_eq!(post_envelope(&ingest, &[], b"{}").json(), json!({}));
}

#[test]
fn a_delayed_answer_comes_late_and_counts_late() {
    const DELAY: Duration = Duration::from_millis(50);
    let ingest = start();
    ingest.answer_next([Answer::ok().with_delay(DELAY)]);
    let start = Instant::now();
    let mut slow = Client::new(&ingest);
    slow.envelope(&transaction("slow"));
    ingest.wait_until(LONG, |_| ingest.requests().len() == 1).expect("it arrives");
    assert_eq!(post_envelope(&ingest, &[], &transaction("fast")).status, 200);
    assert_eq!(slow.response().expect("a response").status, 200);
    assert!(start.elapsed() >= DELAY, "{:?}", start.elapsed());
    assert_eq!(names(&ingest), ["slow", "fast"], "in order of arrival");
}

#[test]
fn an_envelope_whose_client_left_is_not_accepted() {
    const DELAY: Duration = Duration::from_millis(250);
    let ingest = start();
    // The second answer comes when the first one would have come and gone.
    let delays = [DELAY, 2 * DELAY];
    ingest.answer_next(delays.map(|delay| Answer::ok().with_delay(delay)));
    let mut client = Client::new(&ingest);
    client.envelope(&transaction("left"));
    ingest.wait_until(LONG, |_| ingest.requests().len() == 1).expect("it arrives");
    drop(client);
    let response = post_envelope(&ingest, &[], &transaction("next"));
    assert_eq!(response.status, 200);
    assert_eq!(names(&ingest), ["next"]);
    assert_eq!(statuses(&ingest), [None, Some(200)]);
}

#[test]
fn a_closed_connection_has_no_answer() {
    let ingest = start();
    ingest.answer_next([Answer::close()]);
    let mut client = Client::new(&ingest);
    client.envelope(&transaction("closed"));
    assert!(client.response().is_none());
    assert_eq!(statuses(&ingest), [None]);
    assert_eq!(ingest.envelopes(), []);
}

#[test]
fn a_hanging_connection_ends_with_the_server() {
    let ingest = start();
    ingest.answer_with(Answer::hang());
    let mut client = Client::new(&ingest);
    client.envelope(&transaction("hangs"));
    ingest.wait_until(LONG, |_| statuses(&ingest) == [None]).expect("it arrives");
    drop(ingest);
    assert!(client.response().is_none());
}

#[test]
fn an_answer_that_is_not_http_becomes_a_500() {
    let answers = [
        (Answer::status(7), "a status below 200"),
        (Answer::status(1000), "invalid status code"),
        (Answer::ok().with_header("a b", "c"), "invalid HTTP header name"),
        (Answer::ok().with_header("a", "b\nc"), "failed to parse header value"),
    ];
    let ingest = start();
    for (answer, part) in answers {
        ingest.answer_with(answer);
        let response = post_envelope(&ingest, &[], b"{}");
        assert_eq!(response.status, 500);
        let error = response.header("x-sentry-error").expect("a reason");
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(ingest.envelopes(), []);
}

// ---- waiting, forgetting, Spotlight --------------------------------------------------------------

#[test]
fn waiting_tells_what_was_wanted_and_what_came() {
    let ingest = start();
    post_envelope(&ingest, &[], &transaction("one"));
    assert_eq!(ingest.wait_for(1, NONE).expect("it is there").len(), 1);

    let timeout = Duration::from_millis(1);
    let error = ingest.wait_for(3, timeout).expect_err("only one came");
    assert_eq!(error.to_string(), "wanted 3 envelopes, 1 came within 1ms");
    let error = ingest.wait_until(timeout, |_| false).expect_err("never");
    let wanted = "the condition did not hold, 1 envelopes came within 1ms";
    assert_eq!(error.to_string(), wanted);

    post_envelope(&ingest, &["Content-Encoding: snappy"], b"{}");
    let error = ingest.wait_for(2, timeout).expect_err("it was refused");
    let wanted = "wanted 2 envelopes, 1 came within 1ms; 1 refused, the last one: \
                  unknown content encoding: expected gzip, deflate, br or zstd, found \"snappy\"";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn waiting_ends_when_the_envelope_comes() {
    let ingest = start();
    std::thread::scope(|scope| {
        let count = scope.spawn(|| ingest.wait_for(2, LONG));
        let condition = scope.spawn(|| {
            let last = |envelopes: &[Envelope]| envelopes.len() == 2;
            ingest.wait_until(LONG, last)
        });
        for name in ["one", "two"] {
            post_envelope(&ingest, &[], &transaction(name));
        }
        for waiting in [count, condition] {
            let envelopes = waiting.join().expect("no panic").expect("in time");
            assert_eq!(envelopes.len(), 2);
        }
    });
}

#[test]
fn clearing_forgets_requests_but_not_answers() {
    let ingest = start();
    ingest.answer_with(Answer::status(202));
    post_envelope(&ingest, &[], &transaction("old"));
    ingest.clear();
    assert!(ingest.envelopes().is_empty() && ingest.requests().is_empty());
    ingest.wait_for(1, NONE).expect_err("it was forgotten");
    assert_eq!(post_envelope(&ingest, &[], &transaction("new")).status, 202);
    assert_eq!(names(&ingest), ["new"]);
}

#[test]
fn spotlight_takes_everything_and_keeps_it_apart() {
    let ingest = start();
    ingest.answer_with(Answer::status(503));
    let url = format!("http://{}/stream", ingest.address());
    assert_eq!(ingest.spotlight_url(), url);
    let response = post(&ingest, "POST /stream", &[TYPE], &transaction("seen"));
    assert_eq!(response.status, 200);
    let response = post(&ingest, "POST /stream", &[], b"no envelope");
    assert_eq!(response.status, 200);

    assert_eq!(ingest.spotlight().len(), 1);
    assert_eq!(ingest.spotlight()[0].event_id(), Some(ID));
    assert_eq!(ingest.envelopes(), []);
    let refusals = ingest.requests();
    let refusals: Vec<_> = refusals.iter().map(|r| r.refusal().is_some()).collect();
    assert_eq!(refusals, [false, true]);
}

// ---- recording -----------------------------------------------------------------------------------

/// A directory that is not there.
fn missing_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).expect("it is ours");
    }
    directory
}

/// Runs a test of this file in a process of its own, as the variable is one of the process.
fn run_recording(directory: &Path, test: &str) -> Output {
    let mut child = Command::new(env::current_exe().expect("a file"));
    child.args(["--exact", test]).env("SENTRY_LOCAL_INGEST_RECORD", directory).output().expect("it runs")
}

#[test]
fn what_is_accepted_is_recorded() {
    let directory = missing_directory("recorded");
    fs::create_dir(&directory).expect("a directory");
    let output = run_recording(&directory, "events_of_all_kinds_are_sent");
    assert!(output.status.success(), "{output:?}");

    let files: Vec<_> = fs::read_dir(&directory).expect("a directory").collect::<Result<_, _>>().expect("files");
    assert_eq!(files.len(), 1, "an ingest without events has no file: {files:?}");
    assert_eq!(files[0].path().extension().and_then(|extension| extension.to_str()), Some("ndjson"));
    let text = fs::read_to_string(files[0].path()).expect("a text");
    let bare = String::from_utf8(transaction("bare")).expect("a text");
    let bare = bare.lines().nth(2).expect("a payload");
    let wanted = [format!("{{\"event\":{bare}}}"), r#"{"trace":{"trace_id":"t"},"event":{ "a":1.50}}"#.to_owned()];
    assert!(text.lines().eq(wanted), "{text}");
}

#[test]
fn what_cannot_be_recorded_is_refused_loudly() {
    let output = run_recording(&missing_directory("missing"), "events_of_all_kinds_are_sent");
    assert!(!output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("500"), "{text}");
    assert!(text.contains("the event cannot be recorded: SENTRY_LOCAL_INGEST_RECORD: "), "{text}");
}

#[test]
fn events_of_all_kinds_are_sent() {
    let (ingest, _without_events) = (start(), start());
    ingest.answer_next([Answer::status(429)]);
    let spread = format!(
        "{{\"event_id\":\"{ID}\",\"trace\":{{\"trace_id\":\"t\"}}}}\n{{\"type\":\"log\"}}\n{{}}\n\
         {{\"type\":\"event\",\"length\":11}}\n{{\n\"a\":1.50}}\n"
    );
    post_envelope(&ingest, &[], &transaction("limited"));
    post_envelope(&ingest, &[], b"{}");
    post_envelope(&ingest, &[], &transaction("bare"));
    post_envelope(&ingest, &[], spread.as_bytes());
    post(&ingest, "POST /stream", &[TYPE], &transaction("for Spotlight"));
    let refusals: Vec<_> = ingest.requests().iter().map(|request| request.refusal().map(str::to_owned)).collect();
    assert_eq!(statuses(&ingest), [429, 200, 200, 200, 200].map(Some), "{refusals:?}");
}

#[test]
fn it_runs_inside_a_runtime_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ingest = start();
        post_envelope(&ingest, &[], &transaction("inside"));
        assert_eq!(names(&ingest), ["inside"]);
    });
}

#[test]
fn types_are_what_tests_need() {
    fn shared<T: Send + Sync + Debug>() {}
    fn error<T: Error + Send + Sync + 'static>() {}
    shared::<LocalIngest>();
    shared::<Answer>();
    shared::<Envelope>();
    shared::<RecordedRequest>();
    error::<InvalidEnvelope>();
    error::<WaitTimeout>();
    let ingest = start();
    let dsn = format!("http://public@{}/1", ingest.address());
    assert_eq!(ingest.dsn(), dsn);
}
