//! All options of an exporter, in the groups in which the rooms use them.
//!
//! A new option is a field with its default in the group of the room that obeys it, and a setter in the builder.

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::{DecisionLog, Dsn, InvalidDsn, Service};

use super::build_error::Kind;
use crate::{
    convert::{InvalidTag, Sender, TagRules},
    engine::EngineOptions,
    packing::Rules,
    trace::WaitLimits,
    transport::{ClientSettings, DeliveryOptions},
};

#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) identity: Identity,
    pub(super) rules: Rules,
    pub(super) wait: WaitLimits,
    pub(super) engine: EngineOptions,
    pub(super) delivery: DeliveryOptions,
    pub(super) client: ClientSettings,
    pub(super) http_client: Option<Arc<dyn HttpClient>>,
    pub(super) spotlight: Option<String>,
    pub(super) decisions: Arc<DecisionLog>,
    pub(super) meter: Option<Meter>,
}

/// Who sends.
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// Parsed at once, so that no text with a secret is kept.
    pub(super) dsn: Option<Result<Dsn, InvalidDsn>>,
    pub(super) release: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) service: Option<Service>,
    tags: TagRules,
    /// The first one; `build` returns it.
    invalid_tag: Option<InvalidTag>,
}

impl Identity {
    pub(super) fn add_tag(&mut self, add: impl FnOnce(&mut TagRules) -> Result<(), InvalidTag>) {
        let added = add(&mut self.tags);
        self.invalid_tag = self.invalid_tag.take().or(added.err());
    }

    pub(super) fn into_sender(self) -> Result<Sender, Kind> {
        let dsn = self.dsn.transpose().map_err(Kind::Dsn)?;
        if let Some(error) = self.invalid_tag {
            return Err(Kind::Tag(error));
        }
        let service = self
            .service
            .unwrap_or_else(|| Service::new(dsn).with_release(self.release).with_environment(self.environment));
        Ok(Sender::new(service, self.server_name, self.tags))
    }
}
