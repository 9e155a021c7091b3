//! The `SENTRY_*` variables of this process; the guide's page `environment` lists them.

use std::env;

use opentelemetry::otel_warn;
use opentelemetry_sentry_exporter::TraceLifecycle;
use opentelemetry_sentry_protocol::SampleRate;

/// Where Spotlight listens by default.
const SPOTLIGHT_URL: &str = "http://localhost:8969/stream";

const RATE: &str = "SENTRY_TRACES_SAMPLE_RATE";

#[cfg(feature = "tracing")]
const DATABASE_URL: &str = "DATABASE_URL";

pub(super) const LIFECYCLE: &str = "SENTRY_TRACE_LIFECYCLE";

/// The variables that are set and valid.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) dsn: Option<String>,
    pub(super) release: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) traces_sample_rate: Option<f64>,
    /// The text of `SENTRY_TRACES_SAMPLE_RATE`, if it is no rate.
    pub(super) bad_sample_rate: Option<String>,
    pub(super) tunnel: Option<String>,
    pub(super) spotlight: Option<String>,
    /// In which form spans leave, or the text of the variable if it names none.
    pub(super) lifecycle: Option<Result<TraceLifecycle, String>>,
    /// The scheme of `DATABASE_URL`. The rest of it may be secret.
    #[cfg(feature = "tracing")]
    pub(super) database_scheme: Option<String>,
}

impl Environment {
    /// Reads those of this process.
    pub(super) fn read() -> Self {
        Self::from_lookup(|name| env::var(name).ok())
    }

    /// Reads from any mapping of names to values. Values are trimmed; an empty one is as good as unset.
    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let (traces_sample_rate, bad_sample_rate) = match text(RATE).map(rate).transpose() {
            Ok(rate) => (rate, None),
            Err(text) => (None, Some(text)),
        };
        Self {
            dsn: text("SENTRY_DSN"),
            release: text("SENTRY_RELEASE"),
            environment: text("SENTRY_ENVIRONMENT"),
            server_name: text("SENTRY_NAME"),
            traces_sample_rate,
            bad_sample_rate,
            tunnel: text("SENTRY_TUNNEL"),
            spotlight: text("SENTRY_SPOTLIGHT").and_then(spotlight),
            lifecycle: text(LIFECYCLE).map(lifecycle),
            #[cfg(feature = "tracing")]
            database_scheme: text(DATABASE_URL).and_then(scheme),
        }
    }
}

/// The scheme of `DATABASE_URL`, which `sqlx` and its users read.
#[cfg(feature = "tracing")]
pub(super) fn database_scheme() -> Option<String> {
    env::var(DATABASE_URL).ok().and_then(scheme)
}

#[cfg(feature = "tracing")]
fn scheme(url: String) -> Option<String> {
    url.split_once(':').map(|(scheme, _)| scheme.trim().to_owned())
}

/// The rate, or the text if it is not one.
fn rate(text: String) -> Result<f64, String> {
    text.parse::<SampleRate>().map(SampleRate::get).map_err(|error| {
        otel_warn!(name: "Sentry.IgnoredEnvironment", variable = RATE, message = error.to_string());
        text
    })
}

fn spotlight(text: String) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "y" | "yes" | "on" | "1" => Some(SPOTLIGHT_URL.to_owned()),
        "false" | "f" | "n" | "no" | "off" | "0" => None,
        _ if is_http_url(&text) => Some(text),
        _ => {
            otel_warn!(name: "Sentry.IgnoredEnvironment", variable = "SENTRY_SPOTLIGHT", message = "neither on, off nor a URL");
            None
        }
    }
}

/// The lifecycle in the words of Sentry's SDKs, or the text if it is not one.
fn lifecycle(text: String) -> Result<TraceLifecycle, String> {
    match text.to_ascii_lowercase().as_str() {
        "static" => Ok(TraceLifecycle::Transactions),
        "stream" => Ok(TraceLifecycle::Stream),
        _ => Err(text),
    }
}

fn is_http_url(text: &str) -> bool {
    let host = ["http://", "https://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':', '?', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Environment {
        Environment::from_lookup(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn values_are_trimmed_and_empty_ones_are_ignored() {
        assert_eq!(read("SENTRY_RELEASE", " shop@1 ").release.as_deref(), Some("shop@1"));
        assert_eq!(read("SENTRY_DSN", "  ").dsn, None);
        assert_eq!(read("SENTRY_TUNNEL", " http://tunnel/ ").tunnel.as_deref(), Some("http://tunnel/"));
    }

    #[test]
    fn an_invalid_rate_is_ignored() {
        assert_eq!(read("SENTRY_TRACES_SAMPLE_RATE", "0.5").traces_sample_rate, Some(0.5));
        for value in ["NaN", "2", "-1", "half", "inf"] {
            let found = read(RATE, value);
            assert_eq!((found.traces_sample_rate, found.bad_sample_rate.as_deref()), (None, Some(value)));
        }
    }

    #[test]
    fn a_lifecycle_is_static_or_stream() {
        let of = |value| read(LIFECYCLE, value).lifecycle;
        for (value, lifecycle) in [("static", TraceLifecycle::Transactions), (" Stream ", TraceLifecycle::Stream)] {
            assert_eq!(of(value), Some(Ok(lifecycle)), "{value}");
        }
        for value in ["streaming", "transactions", "1"] {
            assert_eq!(of(value), Some(Err(value.to_owned())));
        }
        assert_eq!(of(" "), None);
    }

    #[test]
    fn spotlight_is_on_off_or_a_url() {
        for value in ["1", "TRUE", " yes ", "On", "t", "y"] {
            assert_eq!(read("SENTRY_SPOTLIGHT", value).spotlight.as_deref(), Some(SPOTLIGHT_URL), "{value}");
        }
        for value in ["0", "off", "False", "n", ""] {
            assert_eq!(read("SENTRY_SPOTLIGHT", value).spotlight, None, "{value}");
        }
        for url in ["http://host:1/stream", "https://[::1]/"] {
            assert_eq!(read("SENTRY_SPOTLIGHT", url).spotlight.as_deref(), Some(url));
        }
        for text in ["enabled", "localhost:8969", "http://", "http:///stream", "ftp://host/"] {
            assert_eq!(read("SENTRY_SPOTLIGHT", text).spotlight, None, "{text} is ignored, as an invalid rate is");
        }
    }
}
