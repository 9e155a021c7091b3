//! What does an application touch? The builder, and the two doors that it makes: span processor and exporter.
//!
//! | file, in the order of use | contains |
//! | --- | --- |
//! | `builder`, `options` | all settings, and how they are checked once |
//! | `build_error` | which setting is wrong |
//! | `processor` | the span processor: the door that loses nothing |
//! | `exporter` | the span exporter: the door for other span processors |
//! | `metrics` | the numbers of `Stats` as OpenTelemetry metrics |

mod build_error;
mod builder;
mod exporter;
mod metrics;
mod options;
mod processor;

pub use self::{
    build_error::ExporterBuildError, builder::SentryExporterBuilder, exporter::SentryExporter, options::SenderSettings,
    processor::SentrySpanProcessor,
};
