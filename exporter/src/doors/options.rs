//! All options of an exporter, in the groups in which the rooms use them.
//!
//! A new option is a field, with its default, in the group of the room that uses it, and a setter in the builder.

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::{DecisionLog, Dsn, InvalidDsn, Service};

use super::build_error::Kind;
use crate::{
    convert::{FixedAttributes, InvalidTag, Sender, TagRules},
    engine::EngineOptions,
    packing::Rules,
    trace::{LogFilters, TraceLifecycle, WaitLimits},
    transport::{ClientSettings, DeliveryOptions},
};

#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) sender: SenderSettings,
    pub(super) tags: Tags,
    pub(super) attributes: FixedAttributes,
    pub(super) rules: Rules,
    pub(super) wait: WaitLimits,
    pub(super) log_filters: LogFilters,
    #[cfg(feature = "metrics")]
    pub(super) ignored_metrics: Vec<wildmatch::WildMatch>,
    pub(super) engine: EngineOptions,
    pub(super) delivery: DeliveryOptions,
    pub(super) client: ClientSettings,
    pub(super) http_client: Option<Arc<dyn HttpClient>>,
    pub(super) decisions: Arc<DecisionLog>,
    pub(super) meter: Option<Meter>,
}

/// The settings that the facade completes from the environment. `None` means that a setting was not made.
#[doc(hidden)] // for the facade
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SenderSettings {
    /// The DSN; `Ok(None)` for an empty text. It is parsed at once, so that no text with a secret is kept.
    pub dsn: Option<Result<Option<Dsn>, InvalidDsn>>,
    /// The release.
    pub release: Option<String>,
    /// The environment.
    pub environment: Option<String>,
    /// The name of this machine.
    pub server_name: Option<String>,
    /// DSN, release and environment at once. It overrides the three.
    pub service: Option<Service>,
    /// The URL of a tunnel; blank for none.
    pub tunnel: Option<String>,
    /// The URL of a local Spotlight.
    pub spotlight: Option<String>,
    /// In which form spans leave.
    pub lifecycle: Option<TraceLifecycle>,
}

/// Tags, and the first invalid one, which becomes the error of `build`.
#[derive(Debug, Default)]
pub(super) struct Tags {
    rules: TagRules,
    invalid: Option<InvalidTag>,
}

impl Tags {
    pub(super) fn add(&mut self, add: impl FnOnce(&mut TagRules) -> Result<(), InvalidTag>) {
        let added = add(&mut self.rules);
        self.invalid = self.invalid.take().or(added.err());
    }
}

impl SenderSettings {
    pub(super) fn into_sender(self, tags: Tags, attributes: FixedAttributes) -> Result<Sender, Kind> {
        let dsn = self.dsn.transpose().map_err(Kind::Dsn)?.flatten();
        if let Some(error) = tags.invalid {
            return Err(Kind::Tag(error));
        }
        if let Some(error) = attributes.invalid() {
            return Err(Kind::Attribute(error));
        }
        let service = self
            .service
            .unwrap_or_else(|| Service::new(dsn).with_release(self.release).with_environment(self.environment));
        Ok(Sender { attributes, ..Sender::new(service, self.server_name, tags.rules) })
    }
}
