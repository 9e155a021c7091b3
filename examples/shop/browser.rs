//! Requests as a browser with `@sentry/browser` sends them, and one of a caller that sends W3C's headers only.

use std::collections::BTreeMap;

use reqwest::{Client, Method, header::CONTENT_TYPE};
use uuid::Uuid;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request to the gateway, and the caller's part of its trace.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) kind: Kind,
    pub(crate) trace_id: String,
    /// The caller's span, which is the parent of the gateway's.
    pub(crate) span_id: String,
    /// The browser's dynamic sampling context, which every service must pass on unchanged.
    pub(crate) dsc: BTreeMap<String, String>,
    headers: Headers,
}

/// The feature that a visit shows.
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

/// The response to a visit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header `Server-Timing`.
    pub(crate) server_timing: String,
    pub(crate) body: String,
}

/// One visit of each kind. `public_key` is the key of the services' DSN.
pub(crate) fn visits(public_key: &str) -> [Visit; 7] {
    [
        Visit::from_browser(Kind::PageLoad, "/products/:sku", public_key),
        Visit::with_traceparent_only(Kind::OnlyTraceparent),
        Visit::from_browser(Kind::Failure, "/sales", public_key),
        Visit::from_browser(Kind::Background, "/products/:sku", public_key),
        Visit::from_browser(Kind::Page, "/", public_key),
        Visit::from_browser(Kind::Action, "/", public_key),
        Visit::from_browser(Kind::Deferred, "/", public_key),
    ]
}

impl Visit {
    fn from_browser(kind: Kind, page: &str, public_key: &str) -> Self {
        let (trace_id, span_id) = ids();
        let (dsc, headers) = browser_headers(&trace_id, &span_id, page, public_key);
        Self { kind, trace_id, span_id, dsc, headers }
    }

    fn with_traceparent_only(kind: Kind) -> Self {
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

    /// The request as a shell command.
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
            Self::OnlyTraceparent => "A caller that sends W3C's traceparent only",
            Self::Failure => "A request that fails",
            Self::Background => "Work in the background that ends after the answer",
            Self::Page => "A page whose trace the browser continues",
            Self::Action => "A form that is sent to a server action",
            Self::Deferred => "Work that is deferred until after the answer",
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

    /// The body of a form.
    const fn form(self) -> Option<&'static str> {
        match self {
            Self::Action => Some("sku=mug"),
            _ => None,
        }
    }

    /// The number of transactions that the services send for it.
    pub(crate) const fn transactions(self) -> usize {
        match self {
            Self::Page => 1,
            Self::PageLoad | Self::OnlyTraceparent | Self::Failure | Self::Background => 2,
            Self::Action | Self::Deferred => 3,
        }
    }

    /// The expected status of the answer.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::PageLoad | Self::OnlyTraceparent | Self::Page => 200,
            Self::Failure => 500,
            Self::Background | Self::Deferred => 202,
            Self::Action => 303,
        }
    }
}

/// A trace id and a span id, as the SDK for JavaScript generates them.
fn ids() -> (String, String) {
    let id = || Uuid::new_v4().simple().to_string();
    (id(), id().split_off(16))
}

type Headers = Vec<(&'static str, String)>;

/// The dynamic sampling context, and the two headers with it. `baggage` also has a foreign member.
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

/// `encodeURIComponent`, for the characters that occur here.
fn encode(value: &str) -> String {
    value.replace('@', "%40").replace('/', "%2F").replace(':', "%3A")
}
