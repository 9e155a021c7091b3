//! How the doors for logs, metrics and OTLP come to an engine.

/// Such a door takes the engine of an exporter, or shares one.
macro_rules! shares_engine {
    ($door:ty, $alone:literal) => {
        #[doc = $alone]
        impl From<$crate::SentryExporter> for $door {
            fn from(exporter: $crate::SentryExporter) -> Self {
                Self::new(exporter.into_engine())
            }
        }

        /// Shares thread, queue and statistics with a span processor.
        impl From<&$crate::SentrySpanProcessor> for $door {
            fn from(spans: &$crate::SentrySpanProcessor) -> Self {
                Self::new(spans.engine().cloned())
            }
        }

        /// Shares thread, queue and statistics with an exporter.
        impl From<&$crate::SentryExporter> for $door {
            fn from(exporter: &$crate::SentryExporter) -> Self {
                Self::new(exporter.engine().cloned())
            }
        }
    };
}
pub(super) use shares_engine;
