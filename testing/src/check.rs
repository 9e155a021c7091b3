//! The checks of a request: what Sentry refuses, and with which status.

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue},
    http::request::Parts,
};
use opentelemetry_http::Bytes;

use crate::{
    check_in::check_check_ins,
    container::check_containers,
    decode::decode,
    envelope::Envelope,
    item::Item,
    otlp::{Format, Otlp, Signal},
    refusal::Refusal,
};

/// The path to which a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Ingest,
    Otlp(Signal),
    Spotlight,
}

/// What a request contained that passed the checks. A clone shares its content.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Envelope(Envelope),
    Otlp(Otlp),
}

impl Route {
    pub(super) fn find(head: &Parts) -> Result<Self, Refusal> {
        let route = match head.uri.path() {
            ENVELOPE_PATH => Self::Ingest,
            SPOTLIGHT_PATH => Self::Spotlight,
            path => match otlp_signal(path) {
                Some(signal) => Self::Otlp(signal),
                None => {
                    let reason = format!("expected {ENVELOPE_PATH} or {OTLP_PATH}{{traces,logs}}, found {path}");
                    return Err(Refusal::new(StatusCode::NOT_FOUND, "no such path", reason));
                }
            },
        };
        if head.method != Method::POST {
            let reason = format!("expected POST, found {}", head.method);
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "wrong method", reason));
        }
        Ok(route)
    }

    /// Reads the body. Spotlight requires no credentials and takes items of any type.
    pub(super) fn read(self, head: &Parts, body: &Bytes) -> Result<Payload, Refusal> {
        match self {
            Self::Ingest => admit(head, body).map(Payload::Envelope),
            Self::Otlp(signal) => admit_otlp(signal, head, body).map(Payload::Otlp),
            Self::Spotlight => unpack(&head.headers, body).map(Payload::Envelope),
        }
    }
}

/// The signal of a path such as `/api/1/integration/otlp/v1/traces`. Sentry has no path for metrics.
fn otlp_signal(path: &str) -> Option<Signal> {
    let name = path.strip_prefix(OTLP_PATH)?;
    match name.strip_suffix('/').unwrap_or(name) {
        "traces" => Some(Signal::Traces),
        "logs" => Some(Signal::Logs),
        _ => None,
    }
}

fn admit_otlp(signal: Signal, head: &Parts, body: &Bytes) -> Result<Otlp, Refusal> {
    if !authenticate(head, Version::Optional)? {
        return Err(forbidden("expected X-Sentry-Auth or ?sentry_key="));
    }
    let format = match essence(&head.headers).as_deref() {
        Some("application/x-protobuf") => Format::Protobuf,
        Some("application/json") => Format::Json,
        found => return Err(wrong_type("application/x-protobuf or application/json", found.unwrap_or_default())),
    };
    let body = decode(&text(head.headers.get(CONTENT_ENCODING)), body)?;
    if body.len() > MAX_OTLP {
        let reason = format!("expected at most {MAX_OTLP} bytes, found {}", body.len());
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "OTLP request too large", reason));
    }
    Otlp::read(signal, format, &body).map_err(|reason| bad_request("bad OTLP request", reason))
}

fn admit(head: &Parts, body: &Bytes) -> Result<Envelope, Refusal> {
    let authenticated = authenticate(head, Version::Required)?;
    check_content_type(&head.headers)?;
    let envelope = unpack(&head.headers, body)?;
    match envelope.dsn() {
        Some(dsn) => check_dsn(dsn)?,
        None if !authenticated => {
            return Err(forbidden("expected X-Sentry-Auth, ?sentry_key= or a dsn in the envelope"));
        }
        None => {}
    }
    check_items(&envelope)?;
    Ok(envelope)
}

/// Whether credentials must have `sentry_version`. For OTLP the key is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Required,
    Optional,
}

/// Checks the credentials in the header or the query. `false` if there are none; then the envelope must have them.
fn authenticate(head: &Parts, version: Version) -> Result<bool, Refusal> {
    if let Some(value) = head.headers.get("x-sentry-auth") {
        let value = value.to_str().unwrap_or_default();
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("sentry") {
            return Err(forbidden("expected X-Sentry-Auth to start with `Sentry `"));
        }
        return check_credentials(rest.split(','), version).map(|()| true);
    }
    match head.uri.query() {
        Some(query) if query.contains("sentry_key=") => check_credentials(query.split('&'), version).map(|()| true),
        _ => Ok(false),
    }
}

fn check_credentials<'a>(pairs: impl Iterator<Item = &'a str>, needs: Version) -> Result<(), Refusal> {
    let (mut key, mut version) = (None, None);
    for pair in pairs {
        let Some((name, value)) = pair.trim().split_once('=') else {
            return Err(forbidden("expected credentials of the form name=value"));
        };
        match name {
            "sentry_key" => key = Some(value),
            "sentry_version" => version = Some(value),
            _ => {}
        }
    }
    match (key, version) {
        (Some(PUBLIC_KEY), Some("7")) => Ok(()),
        (Some(PUBLIC_KEY), None) if needs == Version::Optional => Ok(()),
        (Some(PUBLIC_KEY), _) => Err(forbidden("expected sentry_version 7")),
        (Some(_), _) => Err(forbidden("unknown sentry_key")),
        (None, _) => Err(forbidden("expected a sentry_key")),
    }
}

/// The host of the DSN is not compared, as a tunnel may have sent the envelope to another one.
fn check_dsn(dsn: &str) -> Result<(), Refusal> {
    let after_scheme = dsn.split_once("://").map(|(_, rest)| rest);
    let (user, location) = after_scheme.and_then(|rest| rest.split_once('@')).unwrap_or_default();
    let key = user.split(':').next().unwrap_or_default();
    let project = location.rsplit('/').next().unwrap_or_default();
    if (key, project) == (PUBLIC_KEY, PROJECT_ID) {
        return Ok(());
    }
    let reason = format!("expected key `{PUBLIC_KEY}` and project {PROJECT_ID}, found {dsn}");
    Err(bad_request("envelope of another project", reason))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    // Without one, Relay takes an envelope for what it is. The transports of Sentry's Rust SDK send none.
    match essence(headers) {
        Some(found) if !ENVELOPE_TYPES.contains(&&*found) => Err(wrong_type(ENVELOPE_TYPES[0], &found)),
        _ => Ok(()),
    }
}

/// The content type without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> Option<String> {
    let found = text(Some(headers.get(CONTENT_TYPE)?));
    Some(found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn wrong_type(expected: &str, found: &str) -> Refusal {
    let reason = format!("expected {expected}, found {found:?}");
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong content type", reason)
}

fn unpack(headers: &HeaderMap, body: &Bytes) -> Result<Envelope, Refusal> {
    let body = decode(&text(headers.get(CONTENT_ENCODING)), body)?;
    Envelope::parse(&body).map_err(|e| bad_request("bad envelope", e.to_string()))
}

fn check_items(envelope: &Envelope) -> Result<(), Refusal> {
    let events = || envelope.items().iter().filter(|item| is_event(item));
    if events().count() > 1 {
        let reason = "expected at most one event or transaction";
        return Err(bad_request("bad envelope", reason.to_owned()));
    }
    let needs_id = |item: &Item| is_event(item) || item.item_type() == "attachment";
    if envelope.event_id().is_none() && envelope.items().iter().any(needs_id) {
        let reason = "expected an event_id in the envelope's headers";
        return Err(bad_request("bad envelope", reason.to_owned()));
    }
    for item in envelope.items() {
        check_size(item)?;
    }
    check_containers(envelope)?;
    check_check_ins(envelope)?;
    match events().find(|item| !is_object(item)) {
        None => Ok(()),
        Some(item) => {
            let reason = format!("expected a JSON object in the {}", item.item_type());
            Err(bad_request("bad envelope", reason))
        }
    }
}

fn check_size(item: &Item) -> Result<(), Refusal> {
    let limit = ITEM_LIMITS.iter().find(|(name, _)| *name == item.item_type());
    match limit {
        Some((name, limit)) if item.payload().len() > *limit => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "item too large",
            format!("expected at most {limit} bytes of {name}, found {}", item.payload().len()),
        )),
        _ => Ok(()),
    }
}

pub(super) fn is_event(item: &Item) -> bool {
    matches!(item.item_type(), "event" | "transaction")
}

fn is_object(item: &Item) -> bool {
    item.json().is_ok_and(|value| value.is_object())
}

fn text(value: Option<&HeaderValue>) -> String {
    let bytes = value.map(HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

fn forbidden(reason: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "bad credentials", reason.to_owned())
}

fn bad_request(detail: &'static str, reason: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, detail, reason)
}

/// The public key in [`LocalIngest::dsn`](super::LocalIngest::dsn).
pub(super) const PUBLIC_KEY: &str = "public";
/// The id of the only project.
pub(super) const PROJECT_ID: &str = "1";
/// The path at which Spotlight takes envelopes.
pub(super) const SPOTLIGHT_PATH: &str = "/stream";

const ENVELOPE_PATH: &str = "/api/1/envelope/";
/// Servers send the first. Pages send the second: it is the type of a text, for which a browser needs no preflight.
const ENVELOPE_TYPES: [&str; 2] = ["application/x-sentry-envelope", "text/plain"];
/// The start of the paths at which OTLP over HTTP is taken, with and without a slash at the end.
const OTLP_PATH: &str = "/api/1/integration/otlp/v1/";

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Relay's default limit for the body of an OTLP request after decompression, in bytes.
const MAX_OTLP: usize = 12 * MIB;

/// Relay's default limits for one item by type, in bytes. A larger item is refused with 413; other types have no limit.
const ITEM_LIMITS: [(&str, usize); 7] = [
    ("event", MIB),
    ("transaction", MIB),
    ("span", 12 * MIB),
    ("log", 12 * MIB),
    ("trace_metric", 12 * MIB),
    ("client_report", 100 * KIB),
    ("check_in", 100 * KIB),
];
