//! The part of a dynamic sampling context that is the same for all traces of a service.

use opentelemetry::TraceId;

use crate::{
    __shared::hex,
    decision::Decision,
    dsc::{DynamicSamplingContext, write_key, write_member, write_plain},
    dsn::Dsn,
    sampling::{SampleRand, Unsampled},
};

/// Resource: the service's name.
const SERVICE_NAME: &str = "service.name";

/// Resource: the service's version.
const SERVICE_VERSION: &str = "service.version";

/// Resource: the environment in which the service is deployed, stable name.
const DEPLOYMENT_ENVIRONMENT_NAME: &str = "deployment.environment.name";

/// Resource: the environment in which the service is deployed, old name.
const DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment";

/// The environment of a service for which none is set, as in all of Sentry's SDKs.
pub const DEFAULT_ENVIRONMENT: &str = "production";

/// The capacity that a context reserves for the members of its trace; if they need more, the text is reallocated.
const ROOM: usize = 256;

/// The length of the longest release that Sentry accepts, in bytes.
const MAX_RELEASE: usize = 200;

/// The length of the longest environment that Sentry accepts, in bytes.
const MAX_ENVIRONMENT: usize = 64;

/// What a service says about itself in the dynamic sampling contexts of the traces that begin there.
///
/// Pass the same one to propagator and exporter, so that headers and envelopes agree.
///
/// In each setter `None` means "not set": it restores the default.
///
/// ```
/// use opentelemetry_sentry_protocol::Service;
///
/// let service = Service::new(Some("https://public@o123.ingest.us.sentry.io/1".parse()?))
///     .with_release(Some("shop@1.2.3".to_owned()))
///     .with_environment(None);
/// assert_eq!(service.release(), Some("shop@1.2.3"));
/// assert_eq!(service.environment(), "production");
/// assert_eq!(service.org_id(), Some(123));
/// # Ok::<(), opentelemetry_sentry_protocol::InvalidDsn>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    dsn: Option<Dsn>,
    /// As set, or else from the DSN's host. Kept here because `extract` needs it for every request.
    org_id: Option<u64>,
    release: Option<String>,
    environment: Option<String>,
    /// The members that all its contexts begin with, as text: they go out with every trace that begins here.
    members: String,
}

impl Service {
    /// A service that sends to this DSN. Without a DSN, its traces name no project.
    #[must_use]
    pub fn new(dsn: Option<Dsn>) -> Self {
        Self { dsn, org_id: None, release: None, environment: None, members: String::new() }.with_org_id(None).printed()
    }

    /// Sets the release.
    ///
    /// Sentry rejects releases of more than 200 bytes and those with a slash, backslash, tab or line break. So the text is
    /// cut after 200 bytes, and `-` replaces each of these characters: `feature/x@1` becomes `feature-x@1`. A release that
    /// says nothing (blank, `latest`, `.`, `..`) counts as not set. Defaults to no release.
    #[must_use]
    pub fn with_release(mut self, release: Option<String>) -> Self {
        let says_nothing = |release: &str| matches!(release, "" | "." | "..") || release.eq_ignore_ascii_case("latest");
        self.release = release.map(|release| printable(&release, MAX_RELEASE)).filter(|release| !says_nothing(release));
        self.printed()
    }

    /// Sets the environment.
    ///
    /// The same characters are replaced as in a release, and the text is cut after 64 bytes. Blank, `none` and `.` count
    /// as not set. Defaults to [`DEFAULT_ENVIRONMENT`].
    #[must_use]
    pub fn with_environment(mut self, environment: Option<String>) -> Self {
        let says_nothing = |name: &str| matches!(name, "" | ".") || name.eq_ignore_ascii_case("none");
        self.environment = environment.map(|name| printable(&name, MAX_ENVIRONMENT)).filter(|name| !says_nothing(name));
        self.printed()
    }

    /// Takes what is not set from the attributes of an OpenTelemetry resource: the release from `service.name` and
    /// `service.version`, as `name@version`, the environment from `deployment.environment.name`.
    #[must_use]
    pub fn or_from_resource(self, attribute: impl Fn(&'static str) -> Option<String>) -> Self {
        let text = |key| attribute(key).filter(|text| !text.is_empty());
        // The SDK calls a service `unknown_service` if the application does not name it.
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

    /// Sets the id of the organisation. Defaults to the one in the DSN's host, if it contains one.
    #[must_use]
    pub fn with_org_id(mut self, org_id: Option<u64>) -> Self {
        self.org_id = org_id.or_else(|| self.dsn.as_ref()?.org_id());
        self
    }

    /// The DSN that the service sends to.
    #[must_use]
    pub const fn dsn(&self) -> Option<&Dsn> {
        self.dsn.as_ref()
    }

    /// The id of its organisation.
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

    /// The context of a trace that has no frozen one, from what this service knows about the trace.
    #[must_use]
    pub fn dsc(&self, trace_id: TraceId, sample_rand: SampleRand, decision: &Decision) -> DynamicSamplingContext {
        let mut text = String::with_capacity(self.members.len() + ROOM);
        text.push_str(&self.members);
        write_key(&mut text, "trace_id");
        hex::push(&mut text, &trace_id.to_bytes());
        write_plain(&mut text, "org_id", self.org_id);
        write_member(&mut text, "transaction", decision.transaction.as_deref().unwrap_or_default());
        write_plain(&mut text, "sampled", decision.sampled);
        // An ignored trace was not sampled by chance, so no random value belongs to it.
        let is_ignored = decision.unsampled == Some(Unsampled::Ignored);
        write_plain(&mut text, "sample_rand", (!is_ignored).then_some(sample_rand));
        write_plain(&mut text, "sample_rate", decision.sample_rate);
        DynamicSamplingContext::from_text(text)
    }

    /// The same service with its members printed anew.
    fn printed(mut self) -> Self {
        let mut text = String::new();
        write_member(&mut text, "environment", self.environment());
        write_member(&mut text, "release", self.release().unwrap_or_default());
        write_member(&mut text, "public_key", self.dsn().map(Dsn::public_key).unwrap_or_default());
        self.members = text;
        self
    }
}

impl Default for Service {
    fn default() -> Self {
        Self::new(None)
    }
}

/// A text of at most `max` bytes, with `-` for each character that Sentry rejects.
fn printable(text: &str, max: usize) -> String {
    let is_rejected = |c: char| c.is_control() || matches!(c, '/' | '\\');
    let text = text.trim();
    let fits = |(start, c): &(usize, char)| start + c.len_utf8() <= max;
    let end = text.char_indices().take_while(fits).last().map_or(0, |(start, c)| start + c.len_utf8());
    text[..end].trim_end().replace(is_rejected, "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_and_environments_become_valid_or_count_as_not_set() {
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
    fn a_setting_beats_the_resource() {
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

    #[test]
    fn none_restores_the_default_in_every_setter() {
        let dsn: Dsn = "https://public@o1.ingest.sentry.io/1".parse().unwrap();
        let untouched = Service::new(Some(dsn.clone()));
        let set = Service::new(Some(dsn))
            .with_release(Some("shop@1".to_owned()))
            .with_environment(Some("eu".to_owned()))
            .with_org_id(Some(2));
        assert_eq!((set.release(), set.environment(), set.org_id()), (Some("shop@1"), "eu", Some(2)));
        let unset = set.with_release(None).with_environment(None).with_org_id(None);
        assert_eq!((unset.release(), unset.environment(), unset.org_id()), (None, "production", Some(1)));
        assert_eq!(unset, untouched);
    }
}
