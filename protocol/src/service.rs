//! Who we are: the part of a dynamic sampling context that is the same for every trace of a service.

use opentelemetry::TraceId;

use crate::{
    Decision, Dsn, DynamicSamplingContext, SampleRand,
    dsc::{write_member, write_plain},
};

/// Resource: the service's name.
const SERVICE_NAME: &str = "service.name";

/// Resource: the service's version.
const SERVICE_VERSION: &str = "service.version";

/// Resource: where the service is deployed, stable name.
const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";

/// Resource: where the service is deployed, old name.
const DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment";

/// The environment of a service that does not name one, as in all of Sentry's SDKs.
pub const DEFAULT_ENVIRONMENT: &str = "production";

/// The longest release that Sentry takes, in bytes.
const MAX_RELEASE: usize = 200;

/// The longest environment that Sentry takes, in bytes.
const MAX_ENVIRONMENT: usize = 64;

/// What a service says about itself in the contexts of the traces that begin there.
///
/// Propagator and exporter are given the same one, so that headers and envelopes agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    dsn: Option<Dsn>,
    org_id: Option<u64>,
    release: Option<String>,
    environment: Option<String>,
}

impl Service {
    /// A service that sends to this DSN, if any.
    #[must_use]
    pub fn new(dsn: Option<Dsn>) -> Self {
        let org_id = dsn.as_ref().and_then(Dsn::org_id);
        Self { dsn, org_id, release: None, environment: None }
    }

    /// Sets the release. Defaults to none.
    ///
    /// Sentry refuses releases of more than 200 bytes and those with a slash, backslash, tab or line break: the
    /// rest is cut off, and `-` takes the place of such a character, so that `feature/x@1` becomes `feature-x@1`. One
    /// that says nothing (blank, `latest`, `.`, `..`) is none.
    #[must_use]
    pub fn with_release(mut self, release: Option<String>) -> Self {
        let says_nothing = |release: &str| matches!(release, "" | "." | "..") || release.eq_ignore_ascii_case("latest");
        self.release = release.map(|release| printable(&release, MAX_RELEASE)).filter(|release| !says_nothing(release));
        self
    }

    /// Sets the environment. Defaults to [`DEFAULT_ENVIRONMENT`].
    ///
    /// It is made printable as a release is, and cut after 64 bytes; blank, `none` and `.` are none.
    #[must_use]
    pub fn with_environment(mut self, environment: Option<String>) -> Self {
        let says_nothing = |name: &str| matches!(name, "" | ".") || name.eq_ignore_ascii_case("none");
        let environment = environment.map(|name| printable(&name, MAX_ENVIRONMENT)).filter(|name| !says_nothing(name));
        self.environment = environment.or(self.environment);
        self
    }

    /// Fills in what is not set from the attributes of an OpenTelemetry resource: the release is
    /// `service.name@service.version`, the environment `deployment.environment.name`.
    #[must_use]
    pub fn or_from_resource(self, attribute: impl Fn(&'static str) -> Option<String>) -> Self {
        let text = |key| attribute(key).filter(|text| !text.is_empty());
        // The SDK's word for a service that nobody named.
        let name = || text(SERVICE_NAME).filter(|name| !name.starts_with("unknown_service"));
        let release = || {
            let version = text(SERVICE_VERSION)?;
            Some(name().map_or_else(|| version.clone(), |name| format!("{name}@{version}")))
        };
        let environment = || text(DEPLOYMENT_ENVIRONMENT_NAME).or_else(|| text(DEPLOYMENT_ENVIRONMENT));
        let release = self.release.clone().or_else(release);
        let environment = self.environment.clone().or_else(environment);
        self.with_release(release).with_environment(environment)
    }

    /// Sets the organisation. Defaults to the one that the DSN's host names.
    #[must_use]
    pub fn with_org_id(mut self, org_id: Option<u64>) -> Self {
        self.org_id = org_id.or(self.org_id);
        self
    }

    /// Where it sends to.
    #[must_use]
    pub const fn dsn(&self) -> Option<&Dsn> {
        self.dsn.as_ref()
    }

    /// Its organisation.
    #[must_use]
    pub const fn org_id(&self) -> Option<u64> {
        self.org_id
    }

    /// Its release.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// Its environment.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.environment.as_deref().unwrap_or(DEFAULT_ENVIRONMENT)
    }

    /// The context of a trace that has no frozen one: what this service knows about it.
    #[must_use]
    pub fn dsc(&self, trace_id: TraceId, sample_rand: SampleRand, decision: &Decision) -> DynamicSamplingContext {
        let mut text = String::with_capacity(256);
        write_member(&mut text, "environment", self.environment());
        write_member(&mut text, "release", self.release.as_deref().unwrap_or_default());
        write_member(&mut text, "public_key", self.dsn.as_ref().map(Dsn::public_key).unwrap_or_default());
        write_plain(&mut text, "trace_id", Some(trace_id));
        write_plain(&mut text, "org_id", self.org_id);
        write_member(&mut text, "transaction", decision.transaction.as_deref().unwrap_or_default());
        write_plain(&mut text, "sampled", decision.sampled);
        write_plain(&mut text, "sample_rand", Some(sample_rand));
        write_plain(&mut text, "sample_rate", decision.sample_rate);
        DynamicSamplingContext::from_text(text)
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new(None)
    }
}

/// A text without the characters that Sentry refuses, of at most so many bytes.
fn printable(text: &str, max: usize) -> String {
    let is_refused = |c: char| c.is_control() || matches!(c, '/' | '\\');
    let text = text.trim();
    let fits = |(start, c): &(usize, char)| start + c.len_utf8() <= max;
    let end = text.char_indices().take_while(fits).last().map_or(0, |(start, c)| start + c.len_utf8());
    text[..end].trim_end().replace(is_refused, "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sentry_would_refuse_becomes_what_it_takes() {
        let release = |text: &str| Service::default().with_release(Some(text.to_owned())).release;
        let environment =
            |text: &str| Service::default().with_environment(Some(text.to_owned())).environment().to_owned();
        assert_eq!(release("a@1.0.0+b").as_deref(), Some("a@1.0.0+b"));
        assert_eq!(release("feature/x\\y@1\n").as_deref(), Some("feature-x-y@1"));
        assert_eq!(release(&"é".repeat(201)), Some("é".repeat(100)));
        for nothing in ["", "  ", "latest", "LATEST", ".", ".."] {
            assert_eq!(release(nothing), None, "{nothing:?}");
        }
        assert_eq!(environment(" eu/prod\t1 "), "eu-prod-1");
        assert_eq!(environment(&"x".repeat(65)), "x".repeat(64));
        for nothing in ["", " ", "None", "."] {
            assert_eq!(environment(nothing), "production", "{nothing:?}");
        }
    }

    #[test]
    fn what_is_set_beats_the_resource() {
        let resource = |key: &'static str| match key {
            "service.name" => Some("shop".to_owned()),
            "service.version" => Some("1.2".to_owned()),
            "deployment.environment" => Some("eu".to_owned()),
            _ => None,
        };
        let service = Service::default().or_from_resource(resource);
        assert_eq!((service.release(), service.environment()), (Some("shop@1.2"), "eu"));
        let service = Service::default().with_release(Some("x".to_owned())).or_from_resource(resource);
        assert_eq!((service.release(), service.environment()), (Some("x"), "eu"));
        let unnamed = |key| Some(if key == "service.version" { "1.2" } else { "unknown_service:x" }.to_owned());
        assert_eq!(Service::default().or_from_resource(unnamed).release(), Some("1.2"));
    }
}
