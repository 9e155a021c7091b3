//! Servers that do with a connection what an HTTP library would not.

use std::{
    io::{Read, Write},
    mem,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::support::PATIENCE;

/// Listens on a free port of 127.0.0.1, with a thread for each connection. Dropping it closes and joins all.
pub(crate) struct RawServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a server's threads share.
#[derive(Default)]
pub(crate) struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

#[derive(Default)]
struct Seen {
    /// Request lines and headers, as they arrived.
    heads: Vec<String>,
    bytes_written: usize,
}

/// What the server does after it has written its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Close,
    /// Waits until the client closes the connection.
    Hold,
    /// Writes chunks of a body, up to this number of bytes.
    Pour(usize),
}

impl RawServer {
    /// Answers every request with the same text, one request on each connection.
    pub(crate) fn saying(text: impl Into<Vec<u8>>, then: Then) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), text, then)
    }

    /// The same at this address.
    pub(crate) fn at(address: SocketAddr, text: impl Into<Vec<u8>>, then: Then) -> Self {
        let text = text.into();
        Self::start(address, move |mut stream, shared| {
            let Some(head) = read_request(&mut stream) else { return };
            shared.saw(head);
            let _ = stream.write_all(&text); // the client may have closed the connection
            match then {
                Then::Close => {}
                Then::Hold => while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {},
                Then::Pour(bytes) => pour(&mut stream, bytes, shared),
            }
            let _ = stream.shutdown(Shutdown::Both);
        })
    }

    /// Calls a function for every connection, each on a thread of its own.
    pub(crate) fn start(address: SocketAddr, f: impl Fn(TcpStream, &Shared) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::<Shared>::default();
        let (ours, f) = (Arc::clone(&shared), Arc::new(f));
        let thread = thread::spawn(move || {
            let mut threads = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if ours.is_over.load(Ordering::Acquire) {
                    break;
                }
                lock(&ours.connections).extend(stream.try_clone());
                let (shared, f) = (Arc::clone(&ours), Arc::clone(&f));
                threads.push(thread::spawn(move || f(stream, &shared)));
            }
            lock(&ours.connections).iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn dsn(&self) -> String {
        format!("http://public@{}/1", self.address)
    }

    /// Request lines and headers of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        lock(&self.shared.seen).heads.clone()
    }

    /// Waits until this number of requests has arrived.
    pub(crate) fn wait_for(&self, requests: usize) -> Vec<String> {
        let few = |seen: &mut Seen| seen.heads.len() < requests;
        let waited = self.shared.changed.wait_timeout_while(lock(&self.shared.seen), PATIENCE, few);
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{} of {requests} requests arrived", seen.heads.len());
        seen.heads.clone()
    }

    /// Bytes of the body that the network took from [`Then::Pour`].
    pub(crate) fn bytes_written(&self) -> usize {
        lock(&self.shared.seen).bytes_written
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address)); // `accept` returns, and the thread sees that it is over
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // the thread itself has printed its panic
        }
        mem::take(&mut *lock(&self.shared.connections));
    }
}

impl Shared {
    /// Records a request.
    pub(crate) fn saw(&self, head: String) {
        lock(&self.seen).heads.push(head);
        self.changed.notify_all();
    }
}

/// Reads a request with its body, and returns its line and headers; `None` if the connection ends before.
pub(crate) fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.lines().filter_map(|line| line.split_once(": "));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.filter_map(|(_, value)| value.parse().ok()).next().unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).ok()?;
    Some(head)
}

fn pour(stream: &mut TcpStream, bytes: usize, shared: &Shared) {
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let mut written = 0;
    while written < bytes && stream.write_all(&chunk).is_ok() {
        written += chunk.len();
        lock(&shared.seen).bytes_written += chunk.len();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
