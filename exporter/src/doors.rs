//! What does an application touch? The builder, and the doors that it makes: span processor, exporter, log processor, OTLP.
//!
//! | file, in the order of use | contains |
//! | --- | --- |
//! | `builder`, `options` | all settings, and how they are checked once |
//! | `build_error` | which setting is wrong |
//! | `processor` | the span processor: the door that loses nothing |
//! | `exporter` | the span exporter: the door for other span processors |
//! | `delivery` | the requests, for an application that sends them itself |
//! | `log_processor` | the door for log records |
//! | `meter_provider`, `meter` | the door for metrics: instruments whose values are raw |
//! | `metric_exporter` | the door for metrics that OpenTelemetry's SDK has collected |
//! | `otlp_client` | the door for OTLP exporters: an HTTP client that loses nothing |
//! | `sharing` | how the doors for logs, metrics and OTLP come to an engine |
//! | `membership` | whether a provider has a processor, and whether the engine ends with it |
//! | `metrics` | the numbers of `Stats` as OpenTelemetry metrics |

mod build_error;
mod builder;
mod delivery;
mod exporter;
#[cfg(feature = "logs")]
mod log_processor;
mod membership;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(feature = "metrics")]
mod meter_provider;
#[cfg(feature = "metrics")]
mod metric_exporter;
mod metrics;
mod options;
mod otlp_client;
mod processor;
mod sharing;

#[cfg(feature = "logs")]
pub use self::log_processor::SentryLogProcessor;
pub use self::{
    build_error::ExporterBuildError,
    builder::SentryExporterBuilder,
    delivery::{Delivery, Outgoing},
    exporter::SentryExporter,
    options::SenderSettings,
    otlp_client::SentryOtlpClient,
    processor::SentrySpanProcessor,
};
#[cfg(feature = "metrics")]
pub use self::{meter_provider::SentryMeterProvider, metric_exporter::SentryMetricExporter};
