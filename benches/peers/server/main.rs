//! An ingest for envelopes and OTLP that answers 200 after a delay and counts spans and logs.
//!
//! | command | what it does |
//! | --- | --- |
//! | `server <milliseconds>` | answers after this delay |
//! | `server <milliseconds> outage <seconds>` | closes all connections for this long, from the third second on |
//! | `server <milliseconds> poison` | closes the connection, always, when it gets one of the traces whose id ends in a byte below 26: one in ten |
//!
//! It prints its port. When standard input ends, it prints a line of JSON: the numbers of `spans` (with the logs), of
//! `requests`, of `bytes` of the requests with their heads, and of `poisoned` traces.

mod count;

use std::{
    collections::HashSet,
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;

static SPANS: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// The traces that it never answers.
static POISONED: Mutex<Option<HashSet<Vec<u8>>>> = Mutex::new(None);

/// When an outage begins after the start.
const OUTAGE_AFTER: Duration = Duration::from_secs(3);

/// What the server does beside answering.
#[derive(Clone, Copy)]
struct Plan {
    delay: Duration,
    started: Instant,
    outage: Duration,
    has_poison: bool,
}

impl Plan {
    fn is_out(&self) -> bool {
        let elapsed = self.started.elapsed();
        elapsed >= OUTAGE_AFTER && elapsed < OUTAGE_AFTER + self.outage
    }
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse().ok());
    let plan = Plan {
        delay: Duration::from_millis(number(0).ok_or_else(|| io::Error::other("see the head of main.rs"))?),
        started: Instant::now(),
        outage: Duration::from_secs(number(2).unwrap_or(0)),
        has_poison: arguments.get(1).is_some_and(|word| word == "poison"),
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // An error ends only this connection.
            thread::spawn(move || converse(&stream, plan));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let [spans, requests, bytes] = [&SPANS, &REQUESTS, &BYTES].map(|count| count.load(Ordering::Relaxed));
    let poisoned = POISONED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, HashSet::len);
    println!(r#"{{"spans": {spans}, "requests": {requests}, "bytes": {bytes}, "poisoned": {poisoned}}}"#);
    Ok(())
}

fn converse(stream: &TcpStream, plan: Plan) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader)? {
        let is_out = plan.is_out() || (plan.has_poison && is_poisoned(&request.body));
        if is_out {
            return Ok(());
        }
        let spans = if request.is_protobuf { count::in_otlp(&request.body) } else { count::in_envelope(&request.body) };
        SPANS.fetch_add(spans as u64, Ordering::Relaxed);
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(request.bytes as u64, Ordering::Relaxed);
        thread::sleep(plan.delay);
        (&*stream).write_all(ANSWER)?;
    }
    Ok(())
}

struct Request {
    /// The size of head and body as they were sent.
    bytes: usize,
    body: Vec<u8>,
    is_protobuf: bool,
}

impl Request {
    /// Reads the next request, or nothing if the connection has ended.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let (mut bytes, mut length, mut encoding, mut is_protobuf, mut line) =
            (0, 0, String::new(), false, String::new());
        loop {
            line.clear();
            let read = reader.read_line(&mut line)?;
            if read == 0 {
                return Ok(None);
            }
            bytes += read;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "content-encoding" => value.trim().clone_into(&mut encoding),
                "content-type" => is_protobuf = value.trim() == "application/x-protobuf",
                _ => {}
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent)?;
        let mut body = Vec::new();
        match encoding.as_str() {
            "gzip" => drop(GzDecoder::new(&*sent).read_to_end(&mut body)?),
            "zstd" => body = zstd::decode_all(&*sent)?,
            _ => body = sent,
        }
        Ok(Some(Self { bytes: bytes + length, body, is_protobuf }))
    }
}

/// Whether an envelope belongs to one of the traces that are never answered.
fn is_poisoned(body: &[u8]) -> bool {
    let key = b"\"trace_id\":\"";
    let Some(at) = memchr::memmem::find(body, key) else { return false };
    let id = body.get(at + key.len()..at + key.len() + 32).unwrap_or_default();
    let last =
        std::str::from_utf8(id.get(30..).unwrap_or_default()).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let is_poisoned = last.is_some_and(|last| last < 26);
    if is_poisoned {
        POISONED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(id.to_vec());
    }
    is_poisoned
}
