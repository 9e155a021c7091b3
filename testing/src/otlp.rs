//! What arrived by OTLP: spans and logs as a test reads them.

mod message;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use self::message::Message;

/// What a request contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

/// The body of a request. A clone shares it.
#[derive(Clone, Debug)]
pub(super) struct Otlp {
    signal: Signal,
    message: Arc<Value>,
}

impl Otlp {
    /// Reads a body and checks it, or returns what was expected.
    pub(super) fn read(signal: Signal, format: Format, body: &[u8]) -> Result<Self, String> {
        let message = match format {
            Format::Protobuf => signal.decode(body)?,
            Format::Json => serde_json::from_slice(body).map_err(|error| format!("expected JSON: {error}"))?,
        };
        let otlp = Self { signal, message: Arc::new(message) };
        if otlp.message.get(otlp.signal.lists()[0]).is_some_and(|list| !list.is_array()) || !otlp.message.is_object() {
            return Err(format!("expected an object with the list {}", otlp.signal.lists()[0]));
        }
        for span in otlp.spans() {
            span.check()?;
        }
        for log in otlp.logs() {
            log.check()?;
        }
        Ok(otlp)
    }

    pub(super) fn spans(&self) -> Vec<OtlpSpan> {
        self.records(Signal::Traces).map(|(place, span)| OtlpSpan::from_json(&place, span)).collect()
    }

    pub(super) fn logs(&self) -> Vec<OtlpLog> {
        self.records(Signal::Logs).map(|(place, log)| OtlpLog::from_json(&place, log)).collect()
    }

    /// The records of a request with this signal; none of another one.
    fn records(&self, signal: Signal) -> impl Iterator<Item = (Place, &Value)> {
        let [resources, scopes, records] = self.signal.lists();
        let is_asked = signal == self.signal;
        let all = self.message[resources].as_array().into_iter().flatten().filter(move |_| is_asked);
        all.flat_map(move |resource| {
            let attributes = values(&resource["resource"]["attributes"]);
            let scopes = resource[scopes].as_array().into_iter().flatten();
            scopes.flat_map(move |scope| {
                let name = text(&scope["scope"]["name"]);
                let place = Place { resource: attributes.clone(), scope: name };
                scope[records].as_array().into_iter().flatten().map(move |record| (place.clone(), record))
            })
        })
    }
}

impl Signal {
    /// The names of the three lists that are in each other.
    const fn lists(self) -> [&'static str; 3] {
        match self {
            Self::Traces => ["resourceSpans", "scopeSpans", "spans"],
            Self::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
        }
    }

    /// The JSON form of a message of protocol buffers.
    fn decode(self, body: &[u8]) -> Result<Value, String> {
        let message = match self {
            Self::Traces => Message::traces(body),
            Self::Logs => Message::logs(body),
        };
        message.map_err(|error| format!("expected a message of protocol buffers: {error}"))
    }
}

/// Where a span or log was recorded.
#[derive(Clone)]
struct Place {
    resource: BTreeMap<String, Value>,
    scope: String,
}

/// A span that arrived by OTLP.
///
/// ```
/// # fn check(ingest: &opentelemetry_sentry_testing::LocalIngest) {
/// let request = ingest.otlp_span("GET /products/:id");
/// assert_eq!((request.kind.as_str(), request.status.as_str()), ("server", "unset"));
/// assert_eq!(request.resource["service.name"], "shop");
/// assert_eq!(ingest.otlp_span("SELECT products").parent_span_id, Some(request.span_id));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OtlpSpan {
    /// Its name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer` or `consumer`; `unspecified` if it has none.
    pub kind: String,
    /// `unset`, `ok` or `error`.
    pub status: String,
    /// The trace's id, 32 digits.
    pub trace_id: String,
    /// Its id, 16 digits.
    pub span_id: String,
    /// The id of its parent.
    pub parent_span_id: Option<String>,
    /// Whether its parent is in another process; `None` if the sender does not say so.
    pub has_remote_parent: Option<bool>,
    /// The values of its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// The values of its resource's attributes.
    pub resource: BTreeMap<String, Value>,
    /// The name of its instrumentation scope.
    pub scope: String,
    /// The whole span in OTLP's JSON form, for everything else.
    pub json: Value,
}

/// A log that arrived by OTLP.
///
/// ```
/// # fn check(ingest: &opentelemetry_sentry_testing::LocalIngest) {
/// let log = ingest.otlp_log("order placed");
/// assert_eq!((log.severity_number, log.attributes["order.items"].as_i64()), (9, Some(3)));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OtlpLog {
    /// Its text; JSON, if the body is no text.
    pub body: String,
    /// The severity in OpenTelemetry's numbers, from 1 to 24; 0 if it has none.
    pub severity_number: u64,
    /// The trace's id, 32 digits.
    pub trace_id: Option<String>,
    /// The id of the span in which it was written, 16 digits.
    pub span_id: Option<String>,
    /// The values of its attributes.
    pub attributes: BTreeMap<String, Value>,
    /// The values of its resource's attributes.
    pub resource: BTreeMap<String, Value>,
    /// The name of its instrumentation scope.
    pub scope: String,
    /// The whole log in OTLP's JSON form, for everything else.
    pub json: Value,
}

impl OtlpSpan {
    fn from_json(place: &Place, json: &Value) -> Self {
        let flags = json["flags"].as_u64().unwrap_or_default();
        Self {
            name: text(&json["name"]),
            kind: word(&KINDS, &json["kind"]),
            status: word(&STATUSES, &json["status"]["code"]),
            trace_id: text(&json["traceId"]),
            span_id: text(&json["spanId"]),
            parent_span_id: some_text(&json["parentSpanId"]),
            has_remote_parent: (flags & HAS_IS_REMOTE != 0).then_some(flags & IS_REMOTE != 0),
            attributes: values(&json["attributes"]),
            resource: place.resource.clone(),
            scope: place.scope.clone(),
            json: json.clone(),
        }
    }

    /// Sentry drops a span without valid ids in silence.
    fn check(&self) -> Result<(), String> {
        let has_parent = self.parent_span_id.as_deref().is_none_or(|id| is_id(id, 16));
        if is_id(&self.trace_id, 32) && is_id(&self.span_id, 16) && has_parent {
            return Ok(());
        }
        Err(format!("expected valid ids of the span {:?}", self.name))
    }
}

impl OtlpLog {
    fn from_json(place: &Place, json: &Value) -> Self {
        let body = value(&json["body"]);
        Self {
            body: body.as_str().map_or_else(|| body.to_string(), str::to_owned),
            severity_number: json["severityNumber"].as_u64().unwrap_or_default(),
            trace_id: some_text(&json["traceId"]),
            span_id: some_text(&json["spanId"]),
            attributes: values(&json["attributes"]),
            resource: place.resource.clone(),
            scope: place.scope.clone(),
            json: json.clone(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let is_valid = |id: &Option<String>, digits| id.as_deref().is_none_or(|id| is_id(id, digits));
        if is_valid(&self.trace_id, 32) && is_valid(&self.span_id, 16) {
            return Ok(());
        }
        Err(format!("expected valid ids of the log {:?}", self.body))
    }
}

/// The kinds of spans and the codes of their status, by number.
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// Bits of a span's flags: whether the next one is known, and whether the parent is in another process.
const HAS_IS_REMOTE: u64 = 0x100;
const IS_REMOTE: u64 = 0x200;

/// The word of a number, or of a name such as `SPAN_KIND_SERVER`, which JSON may have.
fn word(words: &[&str], value: &Value) -> String {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
    let name = value.as_str().and_then(|name| name.rsplit('_').next()).map(str::to_ascii_lowercase);
    name.unwrap_or_else(|| words.get(number).copied().unwrap_or("unspecified").to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The text, if there is one. An empty id counts as missing.
fn some_text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether it is an id of this number of digits. Zeros are none.
fn is_id(id: &str, digits: usize) -> bool {
    id.len() == digits && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0')
}

/// The values of a list of `{key, value}`.
fn values(list: &Value) -> BTreeMap<String, Value> {
    let entries = list.as_array().into_iter().flatten();
    entries.map(|entry| (text(&entry["key"]), value(&entry["value"]))).collect()
}

/// The plain value of one such as `{"intValue": "3"}`.
fn value(any: &Value) -> Value {
    let Some((kind, inner)) = any.as_object().and_then(|any| any.iter().next()) else { return Value::Null };
    match kind.as_str() {
        // 64-bit numbers are texts in OTLP's JSON, but senders may write numbers.
        "intValue" => {
            inner.as_str().and_then(|text| text.parse::<i64>().ok()).map_or_else(|| inner.clone(), Value::from)
        }
        "arrayValue" => inner["values"].as_array().into_iter().flatten().map(value).collect(),
        "kvlistValue" => values(&inner["values"]).into_iter().collect::<serde_json::Map<_, _>>().into(),
        _ => inner.clone(),
    }
}
