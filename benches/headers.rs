//! The headers of a request. `peers` compiles this file, too.

macro_rules! sentry_members {
    () => {
        "sentry-environment=production,sentry-release=shop%401.2.3,\
        sentry-public_key=4f1d0a2b6c3e4d5f8a9b0c1d2e3f4a5b,sentry-trace_id=771a43a4192642f0b136d5159a501700,\
        sentry-sampled=true,sentry-sample_rand=0.214188"
    };
}

/// The headers of a request from a browser through a load balancer; the last four are about the trace.
pub const HEADERS: [(&str, &str); 13] = [
    ("host", "shop.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("content-type", "application/json"),
    ("cookie", "session=0f8fad5bd9cb469fa165-70867728950e; theme=dark"),
    ("x-forwarded-for", "203.0.113.195"),
    ("x-request-id", "7d444840-9dc0-11d1-b245-5ffdce74fad2"),
    ("traceparent", "00-771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-01"),
    ("tracestate", "vendor=t61rcWkgMzE"),
    ("sentry-trace", "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1"),
    ("baggage", BAGGAGE),
];

/// How many of [`HEADERS`] have nothing to do with the trace.
const UNRELATED: usize = 9;

/// [`HEADERS`] without the foreign members of `baggage`.
pub const SENTRY_HEADERS: [(&str, &str); 13] = {
    let mut headers = HEADERS;
    headers[12] = ("baggage", sentry_members!());
    headers
};

/// Six members as Sentry's browser SDK sends them, and three foreign ones.
const BAGGAGE: &str = concat!(sentry_members!(), ",tenant=acme,user.tier=gold;ttl=60,experiment=blue%20button");

/// The headers that are not about the trace.
#[must_use]
pub fn headers_without_trace() -> &'static [(&'static str, &'static str)] {
    &HEADERS[..UNRELATED]
}
