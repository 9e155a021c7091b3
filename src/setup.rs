//! Sets up Sentry: settings from code, the environment and the resource become one [`Sentry`].

mod builder;
mod checkup;
mod driven;
mod environment;
mod error;
#[cfg(feature = "tower")]
mod globals;
#[cfg(all(feature = "logs", feature = "tracing"))]
mod log_layer;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod queries;
#[cfg(feature = "tracing")]
mod query_settings;
mod sender;
mod sentry;

#[cfg(feature = "tower")]
pub(crate) use self::globals::note_use_of_provider;
pub use self::{builder::SentryBuilder, driven::DrivenSentry, error::SetupError, sentry::Sentry};
#[cfg(all(feature = "logs", feature = "tracing"))]
pub use self::{log_layer::EventLayer, sentry::LogLayer};
#[cfg(feature = "tracing")]
pub use self::{
    queries::{QueryFilter, QueryLayer, QuerySpans, WithoutQueries},
    sentry::TracingLayer,
};
