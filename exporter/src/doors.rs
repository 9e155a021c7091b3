//! What users touch: the exporter, the span processor, their builder.

mod builder;
mod exporter;
mod metrics;
mod processor;

pub use self::{
    builder::{ExporterBuildError, SenderSettings, SentryExporterBuilder},
    exporter::SentryExporter,
    processor::SentrySpanProcessor,
};
