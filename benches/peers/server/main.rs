//! An ingest that answers 200 after a delay and counts transactions.
//!
//! | command | what it does |
//! | --- | --- |
//! | `server <milliseconds>` | answers after this delay |
//! | `server <milliseconds> outage <seconds>` | closes all connections for this long, from the third second on |
//! | `server <milliseconds> poison` | closes the connection, always, when it gets one of the traces whose id ends in a byte below 26: one in ten |
//!
//! It prints its port. When standard input ends, it prints the numbers of transactions, requests and poisoned traces.

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

static TRANSACTIONS: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);

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

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

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
    let poisoned = POISONED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, HashSet::len);
    println!("{} {} {poisoned}", TRANSACTIONS.load(Ordering::Relaxed), REQUESTS.load(Ordering::Relaxed));
    Ok(())
}

fn converse(stream: &TcpStream, plan: Plan) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut is_gzip, mut line) = (0, false, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                if line.trim_end().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "content-encoding" => is_gzip = value.trim() == "gzip",
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if is_gzip {
            let mut plain = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut plain)?;
            body = plain;
        }
        if plan.is_out() || (plan.has_poison && is_poisoned(&body)) {
            return Ok(());
        }
        let transactions = body.split(|byte| *byte == b'\n').filter(|line| is_transaction(line)).count();
        TRANSACTIONS.fetch_add(transactions as u64, Ordering::Relaxed);
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        thread::sleep(plan.delay);
        (&*stream).write_all(ANSWER)?;
    }
}

/// Whether an envelope belongs to one of the traces that are never answered.
fn is_poisoned(body: &[u8]) -> bool {
    let key = b"\"trace_id\":\"";
    let Some(at) = body.windows(key.len()).position(|window| window == key) else { return false };
    let id = body.get(at + key.len()..at + key.len() + 32).unwrap_or_default();
    let last = std::str::from_utf8(id.get(30..).unwrap_or_default()).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let is_poisoned = last.is_some_and(|last| last < 26);
    if is_poisoned {
        POISONED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(id.to_vec());
    }
    is_poisoned
}

/// Whether a line of an envelope is the header of a transaction.
fn is_transaction(line: &[u8]) -> bool {
    let word = b"\"type\":\"transaction\"";
    line.len() < 200 && line.windows(word.len()).any(|window| window == word)
}
