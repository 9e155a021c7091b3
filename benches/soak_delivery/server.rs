//! The server, in a process of its own: it accepts, refuses, answers nonsense or nothing, and counts accepted events.

use std::{
    collections::{HashMap, hash_map::RandomState},
    env, fmt,
    hash::BuildHasher,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;

/// The argument that makes this program the server.
pub(crate) const COMMAND: &str = "serve";

/// How often it is down, and for how long.
const AWAY_EVERY: Duration = Duration::from_secs(20);
const AWAY_FOR: Duration = Duration::from_secs(3);

/// What the server does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Says(&'static str),
    /// Accepts the envelope, and closes the connection before the end of the answer's body.
    BreaksOff,
    Hangs,
}

impl Fault {
    /// Of 10,000 requests, about 8600 are accepted after up to 100 ms.
    fn draw() -> (Self, Duration) {
        let number = random();
        let fault = match number % 10_000 {
            0..4 => Self::Hangs,
            4..100 => Self::BreaksOff,
            100..300 => Self::Says("HTTP/1.1 400 No\r\nx-sentry-error: no\r\ncontent-length: 2\r\n\r\n{}"),
            300..500 => Self::Says("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"),
            500..600 => Self::Says("HTTP/1.1 413 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            600..610 => {
                Self::Says("HTTP/1.1 429 No\r\nx-sentry-rate-limits: 1:transaction:key\r\ncontent-length: 0\r\n\r\n")
            }
            610..1000 => Self::Says(""),
            1000..1200 => Self::Says("HTTP/1.1 200 O"),
            1200..1300 => Self::Says("HTTP/1.1 nonsense\r\n\r\n"),
            1300..1400 => {
                Self::Says("HTTP/1.1 302 Elsewhere\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            }
            _ => Self::None,
        };
        (fault, Duration::from_millis(number >> 32 & 0x7f).min(Duration::from_millis(100)))
    }
}

/// A random number.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// The server's counts.
#[derive(Debug)]
pub(crate) struct Counted {
    requests: u64,
    /// Envelopes with an event that were answered with 200.
    pub(crate) accepted: u64,
    /// How often an event was accepted that had been accepted before.
    pub(crate) repeats: u64,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, accepted, repeats } = self;
        write!(f, "the server had {requests} requests, accepted {accepted} events, {repeats} of them again")
    }
}

/// The server's process.
pub(crate) struct Server {
    child: Child,
    answers: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut answers = BufReader::new(child.stdout.take().ok_or(ErrorKind::BrokenPipe)?);
        let port = numbers(&mut answers)?.first().and_then(|port| u16::try_from(*port).ok());
        Ok(Self { child, answers, port: port.ok_or(ErrorKind::InvalidData)? })
    }

    pub(crate) fn dsn(&self) -> String {
        format!("http://public@127.0.0.1:{}/1", self.port)
    }

    /// Makes the server accept everything from now on.
    pub(crate) fn calm(&mut self) -> io::Result<()> {
        self.child.stdin.as_mut().ok_or(ErrorKind::BrokenPipe)?.write_all(b"calm\n")
    }

    pub(crate) fn stop(mut self) -> io::Result<Counted> {
        drop(self.child.stdin.take());
        let numbers = numbers(&mut self.answers)?;
        self.child.wait()?;
        let [requests, accepted, repeats] = numbers[..] else { return Err(ErrorKind::InvalidData.into()) };
        Ok(Counted { requests, accepted, repeats })
    }
}

fn numbers(from: &mut impl BufRead) -> io::Result<Vec<u64>> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// What all connections share.
struct Shared {
    start: Instant,
    is_calm: AtomicBool,
    /// The number of requests, and how often each event was accepted.
    accepted: Mutex<(u64, HashMap<String, u64>)>,
}

impl Shared {
    fn is_away(&self) -> bool {
        let since = self.start.elapsed().as_millis() % AWAY_EVERY.as_millis();
        !self.is_calm.load(Ordering::Relaxed) && since > (AWAY_EVERY - AWAY_FOR).as_millis()
    }

    /// Counts a request, and its event if that is accepted.
    fn count(&self, event: Option<String>) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.0 += 1;
        if let Some(event) = event {
            *accepted.1.entry(event).or_default() += 1;
        }
    }
}

/// Prints the port, serves until standard input ends, and prints the counts.
pub(crate) fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    let shared =
        Arc::new(Shared { start: Instant::now(), is_calm: AtomicBool::new(false), accepted: Mutex::default() });
    let of_connections = Arc::clone(&shared);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&of_connections);
            // An error ends only this connection.
            thread::spawn(move || converse(&stream, &shared));
        }
    });
    for line in io::stdin().lines() {
        shared.is_calm.store(line? == "calm", Ordering::Relaxed);
    }
    let accepted = shared.accepted.lock().unwrap_or_else(PoisonError::into_inner);
    let times = accepted.1.values();
    println!("{} {} {}", accepted.0, times.clone().sum::<u64>(), times.map(|times| times - 1).sum::<u64>());
    Ok(())
}

fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(event) = read(&mut reader)? {
        let (fault, delay) = Fault::draw();
        let fault = if shared.is_calm.load(Ordering::Relaxed) { Fault::None } else { fault };
        if shared.is_away() {
            shared.count(None);
            break;
        }
        thread::sleep(delay);
        let mut out = stream;
        match fault {
            Fault::None => {
                shared.count(event);
                out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
            }
            Fault::BreaksOff => {
                shared.count(event);
                out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")?;
                break;
            }
            Fault::Says(text) => {
                shared.count(None);
                out.write_all(text.as_bytes())?;
                if !text.ends_with("\r\n\r\n") && !text.ends_with("{}") || text.contains("close") {
                    break;
                }
            }
            Fault::Hangs => {
                shared.count(None);
                return reader.read(&mut [0]).map(drop);
            }
        }
    }
    stream.shutdown(Shutdown::Both)
}

/// The id of the event in the next request, empty if its envelope has none; `None` when there is no next request.
fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Option<String>>> {
    let (mut length, mut is_gzip) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            Some(("content-encoding", value)) => is_gzip = value == "gzip",
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut headers = String::new();
    if is_gzip {
        BufReader::new(GzDecoder::new(&*body)).read_line(&mut headers)?;
    } else {
        (&*body).read_line(&mut headers)?;
    }
    let id = headers.split_once("\"event_id\":\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
    Ok(Some(id))
}
