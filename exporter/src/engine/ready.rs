//! What waits to be packed.

use super::lines::Lines;
#[cfg(feature = "metrics")]
use super::metrics::Walk;
use crate::{
    packing::{Envelope, Part},
    trace::{Bucket, Trace},
};

/// A trace on its way through packing. Each step is one call of the machine's `work`, so that
/// requests get their turn.
#[derive(Debug)]
pub(super) enum Ready {
    /// As the assembler returned it.
    Trace(Trace),
    /// Scrubbed, filtered, and with no more spans than a transaction can have.
    Part(Part),
    /// Streamed spans.
    Bucket(Bucket),
    Logs(Lines),
    /// A collection of all instruments.
    #[cfg(feature = "metrics")]
    Metrics(Walk),
    /// A request of an OTLP exporter.
    Otlp(Envelope),
    /// An error event, logs, metrics, or a container of streamed spans.
    Envelope(Envelope),
}
