//! Servers that refuse, answer nonsense, or do not answer: every span is delivered or counted, and shutdowns end.

mod law;
#[cfg(feature = "internal-logs")]
mod logs;
mod own_requests;
mod proxy;
mod tls;
#[cfg(feature = "zstd")]
mod zstd;

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use opentelemetry_sentry::{
    FlushError, Sentry,
    exporter::{DropReason, testing::Answer},
};

use crate::{
    raw_server::{RawServer, Then},
    support::{PATIENCE, assert_gave_up, dropped, end_spans, eventually, pair, reported, sentry_at, sentry_to_ingest},
};

/// The timeout of flushes and shutdowns that cannot succeed, as the server never answers.
const SHORT: Duration = Duration::from_millis(200);

/// A complete answer.
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

/// Flushes again and again, so that retries have no long pauses, until the condition holds.
fn flush_until(sentry: &Sentry, is_done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_done() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        let _ = sentry.flush(SHORT);
    }
}

fn sentry_to(server: &RawServer) -> Sentry {
    sentry_at(server.dsn()).build().expect("a valid setup")
}

#[test]
fn every_status_has_its_outcome_and_its_report() {
    use DropReason::{NetworkError, RateLimited, SendError};
    let statuses = [
        (200, None, true),
        (202, None, true),
        (301, Some(NetworkError), true),
        (302, Some(NetworkError), true),
        (303, Some(NetworkError), true),
        (304, Some(NetworkError), true),
        (307, Some(NetworkError), true),
        (308, Some(NetworkError), true),
        (400, Some(SendError), true),
        (401, Some(SendError), true),
        (403, Some(SendError), true),
        (404, Some(SendError), true),
        (413, Some(SendError), true),
        (418, Some(SendError), true),
        // The server counts these itself.
        (429, Some(RateLimited), false),
        (500, Some(SendError), true),
        (502, Some(SendError), true),
        (503, Some(SendError), true),
        (999, Some(SendError), true),
    ];
    for (status, reason, is_reported) in statuses {
        let (ingest, builder) = sentry_to_ingest();
        // For 429: a limit that ends at once.
        ingest.answer_next([Answer::status(status).with_header("retry-after", "0")]);
        let sentry = builder.build().unwrap();
        end_spans(&sentry, 1);
        let expected = reason.map_or(Ok(()), |_| Err(FlushError::Undelivered { spans: 1 }));
        assert_eq!(sentry.flush(PATIENCE), expected, "{status}");
        end_spans(&sentry, 1);
        assert_eq!(sentry.flush(PATIENCE), Ok(()), "{status}");
        assert_eq!(ingest.requests().len(), 2, "{status}: nothing is sent again");
        assert_eq!(dropped(&sentry.stats()), reason.map(|reason| (reason, 1)).into_iter().collect(), "{status}");
        let reason = reason.filter(|_| is_reported).map(|reason| reason.as_str());
        let expected = reason.into_iter().flat_map(|reason| [pair(reason, "transaction", 1), pair(reason, "span", 1)]);
        assert_eq!(reported(&ingest.envelopes()), expected.collect(), "{status}");
    }
}

#[test]
fn broken_answers_count_by_their_status_or_as_no_answer() {
    use DropReason::{NetworkError, SendError};
    use Then::{Close, Hold, Pour};
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(2 << 20));
    let cases = [
        ("a line break", "\r\n", Close, Some(NetworkError)),
        ("half a line", "HTTP/1.1 2", Close, Some(NetworkError)),
        ("half the headers", "HTTP/1.1 200 OK\r\nContent-Le", Close, Some(NetworkError)),
        ("half the body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}", Close, None),
        ("half a chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{}", Close, None),
        ("half the body of a refusal", "HTTP/1.1 400 No\r\ncontent-length: 10\r\n\r\n{}", Close, Some(SendError)),
        ("a body that never comes", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", Hold, None),
        ("a body that never goes on", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", Hold, None),
        ("a huge body", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Pour(100 << 20), None),
        ("no chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Close, None),
        ("a body until the end", "HTTP/1.0 200 OK\r\n\r\n{}", Close, None),
        ("an interim answer", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Close, None),
        ("two answers", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 400 No\r\n\r\n", Close, None),
        ("a header without a name", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", Close, Some(NetworkError)),
        ("a header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", Close, Some(NetworkError)),
        ("a header with a zero byte", "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n", Close, Some(NetworkError)),
        ("a header of 2 MiB", &long, Close, Some(NetworkError)),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
            Close,
            Some(NetworkError),
        ),
        ("an invalid length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", Close, Some(NetworkError)),
        ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", Close, Some(NetworkError)),
        ("no status", "HTTP/1.1 OK\r\n\r\n", Close, Some(NetworkError)),
        ("HTTP/0.9", "<html>Welcome</html>", Close, Some(NetworkError)),
        ("HTTP/2 unasked", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Close, Some(NetworkError)),
        ("another protocol", "SSH-2.0-OpenSSH_9.9\r\n", Close, Some(NetworkError)),
    ];
    for (name, answer, then, reason) in cases {
        let server = RawServer::saying(answer, then);
        let sentry = sentry_to(&server);
        end_spans(&sentry, 1);
        let processor = sentry.span_processor().clone();
        let mut counted = reason;
        if reason == Some(NetworkError) {
            // What got no answer is sent again until the shutdown.
            flush_until(&sentry, || server.heads().len() > 1);
            counted = Some(assert_gave_up(sentry.shutdown(SHORT), 1, SHORT, NetworkError));
        } else {
            let expected = reason.map_or(Ok(()), |_| Err(FlushError::Undelivered { spans: 1 }));
            assert_eq!(sentry.flush(PATIENCE), expected, "{name}");
            assert_eq!(server.heads().len(), 1, "{name}");
        }
        let expected = counted.map(|reason| (reason, 1)).into_iter().collect();
        assert_eq!(dropped(&processor.stats()), expected, "{name}");
        assert!(server.bytes_written() < 50 << 20, "{name}: the body is not read to its end");
    }
}

#[test]
fn a_shutdown_does_not_wait_for_answers_that_never_come() {
    for answer in ["", "\r\n", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let server = RawServer::saying(answer, Then::Hold);
        let sentry = sentry_to(&server);
        let processor = sentry.span_processor().clone();
        end_spans(&sentry, 3);
        assert_eq!(sentry.flush(SHORT), Err(FlushError::Timeout(SHORT)), "{answer:?}");
        assert_gave_up(sentry.shutdown(SHORT), 3, SHORT, DropReason::Shutdown);
        assert_eq!(dropped(&processor.stats()), BTreeMap::from([(DropReason::Shutdown, 3)]), "{answer:?}");
        assert_eq!(processor.stats().spans_pending, 0, "{answer:?}");
    }
}

#[test]
fn a_shutdown_reports_losses_once_to_a_server_that_refuses_everything() {
    let server = RawServer::saying("HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", Then::Close);
    let sentry = sentry_to(&server);
    end_spans(&sentry, 1);
    assert_eq!(sentry.shutdown(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
    assert_eq!(server.heads().len(), 2, "a request with the span and one with the report");
}

#[test]
fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = RawServer::saying(OK, Then::Close);
        let location = format!("http://{}/api/1/envelope/", elsewhere.address());
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = RawServer::saying(answer, Then::Close);
        let sentry = sentry_to(&server);
        end_spans(&sentry, 1);
        assert_eq!(sentry.flush(PATIENCE), Err(FlushError::Undelivered { spans: 1 }));
        assert_eq!(dropped(&sentry.stats()), BTreeMap::from([(DropReason::NetworkError, 1)]));
        drop(sentry);
        assert_eq!(elsewhere.heads(), Vec::<String>::new(), "{status}");
    }
}

#[test]
fn spans_are_delivered_again_once_the_server_is_back() {
    for is_kept in [false, true] {
        let address = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let builder = sentry_at(format!("http://public@{address}/1"));
        let builder = if is_kept { builder.with_spool_dir(directory.path()) } else { builder };
        let sentry = builder.build().unwrap();
        end_spans(&sentry, 1);
        // No server listens there.
        let error = if is_kept { FlushError::KeptOnDisk { spans: 1 } } else { FlushError::Timeout(SHORT) };
        eventually("the worker knows that nothing is delivered", || sentry.flush(SHORT).as_ref() == Err(&error));
        assert_eq!((sentry.stats().spans_spooled, sentry.stats().spans_dropped()), (u64::from(is_kept), 0));

        let server = RawServer::at(address, OK, Then::Close);
        end_spans(&sentry, 1);
        assert_eq!(sentry.flush(PATIENCE), Ok(()), "a flush waits for what is on disk, too");
        server.wait_for(2);
        assert_eq!((sentry.stats().spans_sent, sentry.stats().spans_dropped()), (2, 0));
    }
}
