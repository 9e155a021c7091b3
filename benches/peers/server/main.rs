//! An ingest that answers 200 after a delay and counts transactions.
//!
//! `server <milliseconds>` prints its port. When standard input ends, it prints the numbers of transactions and requests.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use flate2::read::GzDecoder;

static TRANSACTIONS: AtomicU64 = AtomicU64::new(0);
static REQUESTS: AtomicU64 = AtomicU64::new(0);

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

fn main() -> io::Result<()> {
    let delay = env::args().nth(1).and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let delay = delay.ok_or_else(|| io::Error::other("usage: server <milliseconds>"))?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // An error ends only this connection.
            thread::spawn(move || converse(&stream, delay));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    println!("{} {}", TRANSACTIONS.load(Ordering::Relaxed), REQUESTS.load(Ordering::Relaxed));
    Ok(())
}

fn converse(stream: &TcpStream, delay: Duration) -> io::Result<()> {
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
        let transactions = body.split(|byte| *byte == b'\n').filter(|line| is_transaction(line)).count();
        TRANSACTIONS.fetch_add(transactions as u64, Ordering::Relaxed);
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        thread::sleep(delay);
        (&*stream).write_all(ANSWER)?;
    }
}

/// Whether a line of an envelope is the header of a transaction.
fn is_transaction(line: &[u8]) -> bool {
    let word = b"\"type\":\"transaction\"";
    line.len() < 200 && line.windows(word.len()).any(|window| window == word)
}
