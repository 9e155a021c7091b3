//! The `data` of a span. The rules are in the guide, page `mapping`, section "Data".

use std::borrow::Cow;

use opentelemetry::{KeyValue, Value, trace::SpanKind};
use opentelemetry_sentry_semantics::{Attributes, Keys, cut, sanitize_url, semconv};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{number::Number, value::Plain, view::Span};

/// The `data` of a span: first inferred values, then its attributes.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    pub(crate) span: Span<'a>,
    pub(crate) op: Option<&'a str>,
    pub(crate) origin: &'a str,
    pub(crate) http_status: Option<i64>,
    /// The message of the status.
    pub(crate) status_message: &'a str,
    pub(crate) url: Option<Url<'a>>,
    /// The server that an HTTP client calls, unless the span has its address.
    pub(crate) server: Option<Cow<'a, str>>,
    /// `Some` for the root of a transaction.
    pub(crate) root: Option<RootData>,
}

/// The `data` that only a transaction has.
#[derive(Debug)]
pub(crate) struct RootData {
    pub(crate) source: &'static str,
    pub(crate) sample_rate: Option<f64>,
    pub(crate) parent_already_sent: bool,
}

/// What happens to an attribute that has the key of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attribute {
    /// It is never sent as it is.
    Removed,
    /// It is sent if nothing was inferred.
    Fallback,
}
use Attribute::{Fallback, Removed};

/// Infers the value of a key.
type Infer = for<'a> fn(&'a Data<'_>) -> Option<Inferred<'a>>;

/// The keys that are not simply copied, in the order in which they are written: how the value is inferred, and what
/// happens to an attribute with the same key.
const OWN: [(&str, Attribute, Infer); 26] = [
    (semconv::SENTRY_OP, Removed, |data| data.op.and_then(text)),
    (semconv::SENTRY_ORIGIN, Removed, |data| Some(Inferred::Text(data.origin))),
    (semconv::SENTRY_SOURCE, Fallback, |data| Some(Inferred::Text(data.root.as_ref()?.source))),
    (semconv::SENTRY_SAMPLE_RATE, Removed, |data| Some(Inferred::Float(data.root.as_ref()?.sample_rate?))),
    // Marks a transaction whose parent was sent before it ended.
    ("sentry.parent_span_already_sent", Removed, |data| {
        data.root.as_ref()?.parent_already_sent.then_some(Inferred::True)
    }),
    ("otel.kind", Fallback, |data| kind_word(&data.span.data.span_kind).map(Inferred::Text)),
    (semconv::HTTP_RESPONSE_STATUS_CODE, Fallback, |data| data.http_status.map(Inferred::Integer)),
    // As in Sentry's SDKs, where a URL alone means that it was read.
    (semconv::HTTP_METHOD, Fallback, |data| data.is_read().then_some(Inferred::Text("GET"))),
    (semconv::SENTRY_URL, Fallback, |data| Some(Inferred::Text(&data.url.as_ref()?.url))),
    (semconv::SENTRY_HTTP_QUERY, Fallback, |data| text(data.url.as_ref()?.query)),
    (semconv::SENTRY_HTTP_FRAGMENT, Fallback, |data| text(data.url.as_ref()?.fragment)),
    (semconv::SERVER_ADDRESS, Fallback, |data| text(data.server.as_deref()?)),
    // Older servers read one name of the two, newer ones the other.
    (semconv::DB_SYSTEM, Fallback, |data| data.renamed(semconv::DB_SYSTEM, &[semconv::DB_SYSTEM_NAME])),
    (semconv::DB_SYSTEM_NAME, Fallback, |data| data.renamed(semconv::DB_SYSTEM_NAME, &[semconv::DB_SYSTEM])),
    (semconv::DB_OPERATION_NAME, Fallback, |data| data.renamed(semconv::DB_OPERATION_NAME, &[semconv::DB_OPERATION])),
    (semconv::DB_COLLECTION_NAME, Fallback, |data| data.renamed(semconv::DB_COLLECTION_NAME, &OLD_COLLECTIONS)),
    (semconv::SENTRY_STATUS_MESSAGE, Fallback, |data| text(data.status_message)),
    (semconv::OTEL_SCOPE_NAME, Removed, |data| text(of_scope(data.span.data.instrumentation_scope.name()))),
    (semconv::OTEL_SCOPE_VERSION, Removed, |data| text(of_scope(data.span.data.instrumentation_scope.version()?))),
    (semconv::OTEL_DROPPED_ATTRIBUTES_COUNT, Removed, |data| count(data.span.data.dropped_attributes_count)),
    (semconv::OTEL_DROPPED_EVENTS_COUNT, Removed, |data| count(data.span.data.events.dropped_count)),
    (semconv::OTEL_DROPPED_LINKS_COUNT, Removed, |data| count(data.span.data.links.dropped_count)),
    // The attributes by which the sampler hands its decision to the exporter.
    (semconv::DSC_FROZEN, Removed, nothing),
    (semconv::DSC_SAMPLE_RAND, Removed, nothing),
    (semconv::DSC_TRANSACTION, Removed, nothing),
    // The span's name is made from it.
    (semconv::SENTRY_CUSTOM_SPAN_NAME, Removed, nothing),
];

/// The old names of a table.
const OLD_COLLECTIONS: [&str; 3] = ["db.sql.table", "db.mongodb.collection", "db.cassandra.table"];

/// The name or the version of an instrumentation scope. A span that is too large is cut without its scope. As a streamed span it
/// leaves alone.
fn of_scope(text: &str) -> &str {
    const MAX_SCOPE: usize = 200;
    cut(text, MAX_SCOPE)
}

/// Headers that only repeat the ids of the trace.
const TRACE_HEADERS: [&str; 5] = ["sentry-trace", "baggage", "traceparent", "tracestate", "server-timing"];

/// The prefixes of attributes for headers, and for the metadata of remote calls.
const HEADER_PREFIXES: [&str; 5] = [
    semconv::HTTP_REQUEST_HEADER,
    semconv::HTTP_RESPONSE_HEADER,
    "rpc.grpc.request.metadata.",
    "rpc.request.metadata.",
    "rpc.connect_rpc.request.metadata.",
];

fn is_trace_header(key: &str) -> bool {
    // Cheaper than five comparisons, for the keys that most attributes have.
    let header = || HEADER_PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix));
    (key.starts_with("http.re") || key.starts_with("rpc."))
        && header().is_some_and(|name| TRACE_HEADERS.contains(&name))
}

/// A file of a dependency without the directory of the machine that built it, such as `h2-0.4.12/src/client.rs`.
fn without_registry(path: &str) -> Option<&str> {
    const REGISTRY: [&str; 2] = ["/registry/src/", "\\registry\\src\\"];
    // Most paths lack this word, and `contains` finds that out much faster than `split_once`.
    let may_have = path.contains("registry");
    let (_, rest) = REGISTRY.iter().filter(|_| may_have).find_map(|registry| path.split_once(registry))?;
    rest.split_once(['/', '\\']).map(|(_, file)| file)
}

/// The keys of [`OWN`], as a filter: most attributes are in no row and need not be compared with all of them.
const OWN_KEYS: Keys = {
    let (mut keys, mut row) = (Keys::of(&[]), 0);
    while row < OWN.len() {
        keys = keys.with(OWN[row].0);
        row += 1;
    }
    keys
};

/// Whether an attribute with this key is never sent as it is.
pub(super) fn is_removed(key: &str) -> bool {
    let is_own = || OWN.iter().any(|(own, attribute, _)| *own == key && *attribute == Removed);
    is_trace_header(key) || OWN_KEYS.may_have(key) && is_own()
}

/// The shorter path of an attribute that contains the file of a dependency.
pub(super) fn file(attribute: &KeyValue) -> Option<&str> {
    match (attribute.key.as_str(), &attribute.value) {
        (semconv::CODE_FILE_PATH | semconv::CODE_FILEPATH, Value::String(path)) => without_registry(path.as_str()),
        _ => None,
    }
}

/// The modules of libraries that make spans for others. Their place in the code tells the user nothing, and a query makes
/// hundreds of them.
const LIBRARIES: [&str; 2] = ["opentelemetry_sentry::web::", "async_graphql::extensions::"];

/// Whether a library has made the span for a request, or for a field of a query.
pub(super) fn is_of_library(attributes: Attributes<'_>) -> bool {
    let module = attributes.text(semconv::CODE_MODULE_NAME);
    module.is_some_and(|module| LIBRARIES.iter().any(|library| module.starts_with(library)))
}

/// Whether a key says where a span was made.
pub(super) fn is_place(key: &str) -> bool {
    key.starts_with("code.") || key == "target"
}

/// Today's names of attributes of messages that no version of Sentry's conventions has under their old names. Other old names
/// are renamed by Sentry.
const UNKNOWN: [(&str, &[&str]); 2] = [
    ("messaging.message.id", &["messaging.message_id"]),
    ("messaging.message.body.size", &["messaging.message.payload_size_bytes", "messaging.message_payload_size_bytes"]),
];

impl Data<'_> {
    /// Whether it has a URL and no method.
    fn is_read(&self) -> bool {
        let methods = [semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD];
        self.url.is_some() && self.span.attributes.first_text(methods).is_none()
    }

    /// The text of an attribute by another one of its names, if it is not there by this one.
    fn renamed(&self, name: &str, others: &[&str]) -> Option<Inferred<'_>> {
        let attributes = self.span.attributes;
        // Most spans are of no database.
        if !self.op.is_some_and(|op| op.starts_with("db")) || attributes.get(name).is_some() {
            return None;
        }
        others.iter().find_map(|other| match attributes.get(other)? {
            Value::String(value) => text(value.as_str()),
            _ => None,
        })
    }
}

/// A value that was inferred.
#[derive(Serialize)]
#[serde(untagged)]
enum Inferred<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    #[serde(serialize_with = "write_true")]
    True,
}

fn write_true<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(true)
}

const fn nothing<'a>(_: &'a Data<'_>) -> Option<Inferred<'a>> {
    None
}

fn text(text: &str) -> Option<Inferred<'_>> {
    (!text.is_empty()).then_some(Inferred::Text(text))
}

fn count(count: u32) -> Option<Inferred<'static>> {
    (count > 0).then_some(Inferred::Integer(count.into()))
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // One bit for each row of the table.
        let mut written = 0_u32;
        for (row, (key, _, infer)) in OWN.iter().enumerate() {
            if let Some(value) = infer(self) {
                map.serialize_entry(key, &value)?;
                written |= 1 << row;
            }
        }
        let passes = |key: &str| {
            let row = OWN.iter().enumerate().find(|(_, (own, ..))| *own == key);
            row.is_none_or(|(row, (_, attribute, _))| *attribute == Fallback && written & (1 << row) == 0)
        };
        let is_of_library = is_of_library(self.span.attributes);
        for attribute in self.span.attributes.unique() {
            let key = attribute.key.as_str();
            if is_of_library && is_place(key) {
                continue;
            }
            if is_trace_header(key) || OWN_KEYS.may_have(key) && !passes(key) {
                continue;
            }
            match (Number::of(key, &attribute.value), file(attribute)) {
                (Some(number), _) => map.serialize_entry(key, &number)?,
                (None, Some(file)) => map.serialize_entry(key, file)?,
                (None, None) => map.serialize_entry(key, &Plain(&attribute.value))?,
            }
        }
        let attributes = self.span.attributes;
        for (name, old) in UNKNOWN {
            let value = old.iter().find_map(|old| attributes.get(old)).filter(|_| attributes.get(name).is_none());
            match value.map(|value| (Number::of(name, value), value)) {
                Some((Some(number), _)) => map.serialize_entry(name, &number)?,
                Some((None, value)) => map.serialize_entry(name, &Plain(value))?,
                None => {}
            }
        }
        map.end()
    }
}

/// The URL of a request, in the same parts as Sentry's JavaScript SDK sends it.
#[derive(Debug)]
pub(crate) struct Url<'a> {
    url: Cow<'a, str>,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Url<'a> {
    pub(crate) fn of(attributes: Attributes<'a>) -> Option<Self> {
        let text = |key| match attributes.get(key) {
            Some(Value::String(text)) if !text.as_str().is_empty() => Some(text.as_str()),
            _ => None,
        };
        let whole = text(semconv::HTTP_URL).or_else(|| text(semconv::URL_FULL))?;
        let (rest, fragment) = whole.split_once('#').unwrap_or((whole, ""));
        let (_, query) = rest.split_once('?').unwrap_or((rest, ""));
        Some(Self { url: sanitize_url(whole), query, fragment })
    }
}

/// The host that an HTTP client calls, if the span does not have it as an attribute. Sentry groups outgoing requests by it.
pub(super) fn called_server<'a>(op: Option<&str>, attributes: Attributes<'a>) -> Option<Cow<'a, str>> {
    let is_call = op == Some("http.client") && attributes.get(semconv::SERVER_ADDRESS).is_none();
    if is_call { attributes.server_host() } else { None }
}

/// The kind as Sentry's JavaScript SDK writes it. It is left out for an internal span.
const fn kind_word(kind: &SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Client => Some("CLIENT"),
        SpanKind::Server => Some("SERVER"),
        SpanKind::Producer => Some("PRODUCER"),
        SpanKind::Consumer => Some("CONSUMER"),
        SpanKind::Internal => None,
    }
}
