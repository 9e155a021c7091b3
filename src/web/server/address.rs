//! The address of the client, behind proxies that add themselves to `X-Forwarded-For`.

use std::{
    net::{IpAddr, SocketAddr},
    str,
};

use http::{HeaderMap, HeaderName, request::Parts};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client's address if `proxies` of our own are in front of this server.
///
/// Each proxy appends the address of its peer. So the last `proxies` addresses are ours, and the first of them is the
/// client. What is before it was sent by the client, which can write anything there.
pub(super) fn client(head: &Parts, proxies: usize) -> Option<IpAddr> {
    match proxies.checked_sub(1) {
        None => peer(head),
        Some(skipped) => backwards(&head.headers, FORWARDED_FOR).nth(skipped).and_then(parse),
    }
}

/// The scheme that the client used, as the last proxy of our own reports it.
pub(super) fn forwarded_scheme(headers: &HeaderMap, proxies: usize) -> Option<&'static str> {
    let last = backwards(headers, FORWARDED_PROTO).next().filter(|_| proxies > 0)?;
    ["https", "http"].into_iter().find(|scheme| last.eq_ignore_ascii_case(scheme))
}

/// The entries of all lines of a header, the last one first.
///
/// Each is read alone: a client that sends one beyond ASCII could otherwise hide what a proxy appends to the same line.
fn backwards(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    entries.map(|entry| str::from_utf8(entry).unwrap_or_default().trim())
}

/// The peer of the connection, if axum keeps it (`ConnectInfo`).
#[cfg(feature = "axum-08")]
fn peer(head: &Parts) -> Option<IpAddr> {
    let peer = head.extensions.get::<axum::extract::ConnectInfo<SocketAddr>>();
    peer.map(|axum::extract::ConnectInfo(address)| address.ip().to_canonical())
}

#[cfg(not(feature = "axum-08"))]
const fn peer(_: &Parts) -> Option<IpAddr> {
    None
}

/// An address, with or without a port: some proxies add it.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}
