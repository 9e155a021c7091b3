//! Who sends: one answer from code, environment and resource, for headers and envelopes alike.

use opentelemetry::{Key, otel_debug};
use opentelemetry_sdk::Resource;
use opentelemetry_sentry_exporter::{SenderSettings, SentryExporterBuilder, TraceLifecycle};
use opentelemetry_sentry_protocol::{Dsn, InvalidDsn, Service};
use opentelemetry_sentry_sampler::SentrySampler;
use opentelemetry_sentry_semantics::semconv;

use super::{
    environment::Environment,
    error::{Kind, SetupError},
};

/// The sender. Propagator, sampler and exporter get the same one, so that headers and envelopes agree.
pub(super) struct Sender {
    pub(super) service: Service,
    /// `None` where a machine has no name.
    server_name: Option<String>,
    tunnel: Option<String>,
    spotlight: Option<String>,
    lifecycle: TraceLifecycle,
}

impl Sender {
    /// Completes what was set in code: from the environment, then from the resource.
    pub(super) fn new(
        code: SenderSettings,
        org_id: Option<u64>,
        environment: &Environment,
        resource: &Resource,
    ) -> Result<Self, SetupError> {
        let mut service = match code.service {
            Some(service) => service,
            None => Service::new(dsn(code.dsn, environment)?)
                .with_release(code.release.or_else(|| environment.release.clone()))
                .with_environment(code.environment.or_else(|| environment.environment.clone())),
        };
        if org_id.is_some() {
            service = service.with_org_id(org_id);
        }
        let service = service.or_from_resource(|key| text(resource, key));
        if service.dsn().is_none() {
            otel_debug!(name: "Sentry.NoDsn", message = "headers are passed on, and no span is sent");
        }
        let server_name = code.server_name.or_else(|| environment.server_name.clone());
        let server_name = server_name.or_else(|| text(resource, semconv::HOST_NAME)).or_else(host_name);
        let tunnel = code.tunnel.or_else(|| environment.tunnel.clone()).map(|url| url.trim().to_owned());
        let spotlight = code.spotlight.or_else(|| environment.spotlight.clone());
        let lifecycle = match (code.lifecycle, &environment.lifecycle) {
            (Some(lifecycle), _) => lifecycle,
            (None, Some(Ok(lifecycle))) => *lifecycle,
            (None, Some(Err(text))) => return Err(Kind::Lifecycle(text.clone()).into()),
            (None, None) => TraceLifecycle::default(),
        };
        Ok(Self { service, server_name, tunnel, spotlight, lifecycle })
    }

    /// Excludes client spans of requests to Sentry, its tunnel and Spotlight. The exporter's own requests make no spans; this is for
    /// requests that the application makes to the same places, such as those of a tunnel.
    pub(super) fn without_own_requests(&self, sampler: SentrySampler) -> SentrySampler {
        let own = self.service.dsn().map(Dsn::envelope_url).into_iter().chain(self.spotlight.clone());
        let sampler = own.fold(sampler, |sampler, url| sampler.excluding_requests_to(&url));
        self.tunnel.iter().fold(sampler, |sampler, url| sampler.excluding_url(url))
    }

    pub(super) fn give_to(self, exporter: SentryExporterBuilder) -> SentryExporterBuilder {
        let exporter = exporter.with_service(self.service).with_lifecycle(self.lifecycle);
        let exporter = self.server_name.into_iter().fold(exporter, SentryExporterBuilder::with_server_name);
        let exporter = self.tunnel.into_iter().fold(exporter, SentryExporterBuilder::with_tunnel);
        self.spotlight.into_iter().fold(exporter, SentryExporterBuilder::with_spotlight)
    }
}

/// The DSN; the error names the setting that it comes from.
fn dsn(code: Option<Result<Option<Dsn>, InvalidDsn>>, environment: &Environment) -> Result<Option<Dsn>, Kind> {
    match (code, &environment.dsn) {
        (Some(dsn), _) => dsn.map_err(|error| Kind::Dsn("with_dsn", error)),
        (None, Some(text)) => Dsn::parse_setting(text).map_err(|error| Kind::Dsn("SENTRY_DSN", error)),
        (None, None) => Ok(None),
    }
}

fn text(resource: &Resource, key: &'static str) -> Option<String> {
    resource.get(&Key::from_static_str(key)).map(|value| value.to_string()).filter(|text| !text.is_empty())
}

#[cfg(not(target_family = "wasm"))]
fn host_name() -> Option<String> {
    Some(gethostname::gethostname().to_string_lossy().into_owned())
}

#[cfg(target_family = "wasm")]
const fn host_name() -> Option<String> {
    None
}
