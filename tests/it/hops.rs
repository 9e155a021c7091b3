//! Three services in a row over real HTTP that only pass a trace on, without a tracer and a sampler.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use opentelemetry::{Context, propagation::TextMapPropagator};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sentry::SentryPropagator;

const T: &str = "771a43a4192642f0b136d5159a501700";
const P: &str = "b0e6f15b45c36b12";
const BAGGAGE: &str = "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-release=up%401,sentry-sample_rand=0.25,\
                       sentry-sample_rate=0.5,sentry-x-y=z,tenant=a%2Cb;ttl=1,b=%c3%a9";

type Headers = HashMap<String, String>;

#[test]
fn three_hops_leave_the_headers_unchanged() {
    for flag in ["-1", "-0", ""] {
        let last = Service::echo();
        let middle = Service::passing_on_to(last.address);
        let first = Service::passing_on_to(middle.address);
        let sent = [("sentry-trace", format!("{T}-{P}{flag}")), ("baggage", BAGGAGE.to_owned())];
        let arrived = get(first.address, &sent.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(arrived["sentry-trace"], format!("{T}-{P}{flag}"));
        assert_eq!(arrived["baggage"], BAGGAGE);
        assert_eq!(arrived["traceparent"], format!("00-{T}-{P}-{}", if flag == "-1" { "01" } else { "00" }));
    }
}

/// A server that answers one request with the headers that the last service in the row received.
struct Service {
    address: SocketAddr,
}

impl Service {
    fn echo() -> Self {
        Self::start(|headers| headers)
    }

    fn passing_on_to(next: SocketAddr) -> Self {
        Self::start(move |headers| {
            let propagator =
                SentryPropagator::builder().with_dsn("http://public@127.0.0.1:1/1").build().expect("a DSN");
            let incoming = to_map(&headers);
            let cx = propagator.extract_with_context(&Context::new(), &HeaderExtractor(&incoming));
            let mut outgoing = http::HeaderMap::new();
            propagator.inject_context(&cx, &mut HeaderInjector(&mut outgoing));
            get(next, &from_map(&outgoing))
        })
    }

    fn start(answer: impl FnOnce(Headers) -> Headers + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a request");
            let headers = answer(read_headers(&stream));
            let body = print_headers(&headers);
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}").expect("an open connection");
        });
        Self { address }
    }
}

fn get(address: SocketAddr, headers: &Headers) -> Headers {
    let mut stream = TcpStream::connect(address).expect("a server");
    write!(stream, "GET / HTTP/1.1\r\nhost: {address}\r\n{}\r\n", print_headers(headers)).expect("an open connection");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    body.lines().filter_map(parse_line).collect()
}

fn read_headers(stream: &TcpStream) -> Headers {
    let lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    lines.skip(1).take_while(|line| !line.is_empty()).filter_map(|line| parse_line(&line)).collect()
}

fn print_headers(headers: &Headers) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(": ")?;
    Some((name.to_owned(), value.to_owned()))
}

fn to_map(headers: &Headers) -> http::HeaderMap {
    let pairs = headers.iter().map(|(name, value)| (name.parse::<http::HeaderName>().expect("a name"), value));
    pairs.map(|(name, value)| (name, value.parse().expect("a value"))).collect()
}

fn from_map(headers: &http::HeaderMap) -> Headers {
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("visible ASCII")));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
