//! What users touch: the exporter, the span processor, their builder.

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
