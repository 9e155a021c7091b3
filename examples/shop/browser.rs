//! Requests as a browser with `@sentry/browser` makes them, and one of somebody who knows W3C's headers alone.

use std::collections::BTreeMap;

use reqwest::{Client, Method, header::CONTENT_TYPE};
use uuid::Uuid;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request to the gateway, and what is known of its trace on this side.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) kind: Kind,
    pub(crate) trace_id: String,
    /// The caller's own span, of which the gateway's is a child.
    pub(crate) span_id: String,
    /// What the browser says of its trace; every service reports it as it is.
    pub(crate) dsc: BTreeMap<String, String>,
    headers: Headers,
}

/// What a visit shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    PageLoad,
    OnlyTraceparent,
    Failure,
    Background,
    Page,
    Action,
    Deferred,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header `Server-Timing`.
    pub(crate) server_timing: String,
    pub(crate) body: String,
}

/// One visit of each kind. The key is that of the DSN which the services send to.
pub(crate) fn visits(public_key: &str) -> [Visit; 7] {
    [
        Visit::of_browser(Kind::PageLoad, "/products/:sku", public_key),
        Visit::of_stranger(Kind::OnlyTraceparent),
        Visit::of_browser(Kind::Failure, "/sales", public_key),
        Visit::of_browser(Kind::Background, "/products/:sku", public_key),
        Visit::of_browser(Kind::Page, "/", public_key),
        Visit::of_browser(Kind::Action, "/", public_key),
        Visit::of_browser(Kind::Deferred, "/", public_key),
    ]
}

impl Visit {
    fn of_browser(kind: Kind, page: &str, public_key: &str) -> Self {
        let (trace_id, span_id) = ids();
        let (dsc, headers) = browser_headers(&trace_id, &span_id, page, public_key);
        Self { kind, trace_id, span_id, dsc, headers }
    }

    fn of_stranger(kind: Kind) -> Self {
        let (trace_id, span_id) = ids();
        let headers = vec![("traceparent", format!("00-{trace_id}-{span_id}-01"))];
        Self { kind, trace_id, span_id, dsc: BTreeMap::new(), headers }
    }

    pub(crate) async fn send(&self, client: &Client, gateway: &str) -> reqwest::Result<Answer> {
        let (method, path) = self.kind.request();
        let request = client.request(method, format!("{gateway}{path}"));
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = match self.kind.form() {
            Some(form) => request.header(CONTENT_TYPE, FORM).body(form),
            None => request,
        };
        let response = request.send().await?;
        let status = response.status().as_u16();
        let server_timing = response.headers().get("server-timing").and_then(|value| value.to_str().ok());
        let server_timing = server_timing.unwrap_or_default().to_owned();
        Ok(Answer { status, server_timing, body: response.text().await? })
    }

    /// The same request in a shell.
    pub(crate) fn as_curl(&self, gateway: &str) -> String {
        let (method, path) = self.kind.request();
        let headers = self.headers.iter().map(|(name, value)| format!(" \\\n    -H '{name}: {value}'"));
        let form = self.kind.form().map(|form| format!(" -d '{form}'")).unwrap_or_default();
        format!("curl -i -X {method} {gateway}{path}{form}{}", headers.collect::<String>())
    }
}

impl Kind {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::PageLoad => "A page load in a browser",
            Self::OnlyTraceparent => "A caller that knows W3C's traceparent alone",
            Self::Failure => "A request that fails",
            Self::Background => "Work that goes on after the answer",
            Self::Page => "A page that tells the browser of its trace",
            Self::Action => "A form that is sent to a server action",
            Self::Deferred => "Work that is put off until after the answer",
        }
    }

    pub(crate) const fn request(self) -> (Method, &'static str) {
        match self {
            Self::PageLoad => (Method::GET, "/products/lamp"),
            Self::OnlyTraceparent => (Method::GET, "/products/mug"),
            Self::Failure => (Method::GET, "/sales"),
            Self::Background => (Method::POST, "/orders/lamp"),
            Self::Page => (Method::GET, "/"),
            Self::Action => (Method::POST, "/orders"),
            Self::Deferred => (Method::GET, "/catalogue"),
        }
    }

    /// What is sent, as forms are.
    const fn form(self) -> Option<&'static str> {
        match self {
            Self::Action => Some("sku=mug"),
            _ => None,
        }
    }

    /// How many transactions come of it, of all services.
    pub(crate) const fn transactions(self) -> usize {
        match self {
            Self::Page => 1,
            Self::PageLoad | Self::OnlyTraceparent | Self::Failure | Self::Background => 2,
            Self::Action | Self::Deferred => 3,
        }
    }

    /// The status that the answer has when all is well.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::PageLoad | Self::OnlyTraceparent | Self::Page => 200,
            Self::Failure => 500,
            Self::Background | Self::Deferred => 202,
            Self::Action => 303,
        }
    }
}

/// A trace and a span, made as the SDK for JavaScript makes them.
fn ids() -> (String, String) {
    let id = || Uuid::new_v4().simple().to_string();
    (id(), id().split_off(16))
}

type Headers = Vec<(&'static str, String)>;

/// What Sentry knows of the trace, and the two headers that say so, beside a member of somebody else.
fn browser_headers(trace_id: &str, span_id: &str, page: &str, key: &str) -> (BTreeMap<String, String>, Headers) {
    let dsc = [
        ("environment", "demo"),
        ("release", "shop-web@2.4.1"),
        ("public_key", key),
        ("trace_id", trace_id),
        ("transaction", page),
        ("sampled", "true"),
        ("sample_rand", "0.214188"),
        ("sample_rate", "0.5"),
    ];
    let members = dsc.map(|(key, value)| format!("sentry-{key}={}", encode(value)));
    let headers = vec![
        ("sentry-trace", format!("{trace_id}-{span_id}-1")),
        ("baggage", format!("tenant=acme,{}", members.join(","))),
    ];
    (dsc.map(|(key, value)| (key.to_owned(), value.to_owned())).into(), headers)
}

/// What `encodeURIComponent` does to the characters that occur here.
fn encode(value: &str) -> String {
    value.replace('@', "%40").replace('/', "%2F").replace(':', "%3A")
}
