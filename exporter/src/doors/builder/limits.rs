//! How long and how much may wait, in memory and on disk.

use std::{path::PathBuf, time::Duration};

use super::SentryExporterBuilder;
use crate::transport::Encoding;

impl SentryExporterBuilder {
    /// Sets how long a trace waits for spans that end after its local root. Spans that end even later are sent in a
    /// transaction of their own. A flush and a shutdown do not wait for late spans. Defaults to 50 ms under a
    /// [`SentrySpanProcessor`](crate::SentrySpanProcessor), and to zero under other processors, which hand over spans
    /// in batches and so later anyway.
    pub const fn with_late_span_grace(mut self, grace: Duration) -> Self {
        self.options.wait.grace = Some(grace);
        self
    }

    /// Sets how many traces may wait for their local root. Above it, traces that only wait for late spans are sent
    /// first, and then those that have waited longest, without their root. No span is lost. Defaults to 100,000.
    pub const fn with_trace_limit(mut self, traces: usize) -> Self {
        self.options.wait.traces = traces;
        self
    }

    /// Sets how many bytes of ended spans may wait for their local root or for conversion. The size of a span is
    /// estimated. Defaults to 64 MiB.
    ///
    /// From half of the limit on, the spans that have waited longest are sent without their root. Above the limit a
    /// span is dropped, with the rest of its trace, until the pressure has been over for five seconds. It counts as
    /// [`BufferOverflow`](crate::DropReason::BufferOverflow), or as
    /// [`QueueOverflow`](crate::DropReason::QueueOverflow) if the send queue is full too, because then the network is
    /// too slow.
    pub const fn with_buffer_limit(mut self, bytes: usize) -> Self {
        self.options.engine.buffer_limit = bytes;
        self
    }

    /// Sets how many bytes of serialised envelopes may wait in memory to be sent. Defaults to 32 MiB.
    ///
    /// When the queue is full, spans wait in the buffer (see [`with_buffer_limit`](Self::with_buffer_limit)). With
    /// [`with_spool_dir`](Self::with_spool_dir) further envelopes go to the disk instead. Without it, a single envelope
    /// that is larger than the limit is dropped as [`QueueOverflow`](crate::DropReason::QueueOverflow).
    pub const fn with_queue_limit(mut self, bytes: usize) -> Self {
        self.options.delivery.queue_limit = bytes;
        self
    }

    /// Sets a directory for envelopes that cannot be delivered yet: during an outage, when the queue is full, and at
    /// the deadline of a flush or a shutdown. This process or the next one sends them when the server can be reached.
    /// Defaults to none.
    ///
    /// - During an outage, an envelope that has waited in memory for five seconds is on disk within the next five. A
    ///   process that is killed loses only what is younger.
    /// - A flush or a shutdown that ends before delivery stores what it could not deliver, and returns
    ///   [`FlushError::KeptOnDisk`](crate::FlushError::KeptOnDisk).
    /// - Many envelopes share a file. All files of a project take at most 1 GiB and are kept for three days. Beyond
    ///   that the oldest are removed and counted as [`CacheOverflow`](crate::DropReason::CacheOverflow).
    /// - Each project has a folder of its own in the directory, and several processes may share it. After a
    ///   crash the next process may send some envelopes again; Sentry recognises the event's id.
    /// - A relative path is made absolute by [`build`](Self::build).
    /// - If the directory cannot be used, a warning is logged once (feature `internal-logs`), and it is tried again.
    ///   Envelopes for which memory has room then wait there; the others are dropped and counted.
    ///
    /// ```no_run
    /// use opentelemetry_sentry_exporter::SentryExporter;
    ///
    /// let exporter = SentryExporter::builder()
    ///     .with_dsn("https://public@o1.ingest.sentry.io/1")
    ///     .with_spool_dir("/var/lib/shop/sentry")
    ///     .build()?;
    /// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
    /// ```
    pub fn with_spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options.delivery.spool_dir = Some(dir.into());
        self
    }

    /// Sets how bodies of more than 1 KiB are compressed. Defaults to gzip; with a [tunnel](Self::with_tunnel) to
    /// [`Encoding::Identity`], because most tunnels cannot read what is compressed.
    pub const fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.options.delivery.encoding = Some(encoding);
        self
    }

    /// Sets whether requests are such that a browser sends them to another origin without asking it before (a "simple
    /// request" of the Fetch standard): the DSN's key is in the URL, no header is special, and bodies are not compressed,
    /// whatever [`with_encoding`](Self::with_encoding) says. For pages that deliver themselves
    /// ([`build_driven`](Self::build_driven)). Defaults to `false`.
    pub const fn with_simple_requests(mut self, on: bool) -> Self {
        self.options.delivery.has_simple_requests = on;
        self
    }

    /// Sets whether the sampler keeps fewer traces while the server does not keep up. Defaults to `false`.
    ///
    /// Every ten seconds the exporter checks whether the server limits it or the queue is full. If so, it halves the
    /// sample rate, down to a thousandth; if not, it restores the rate. Traces that are lost by this count as
    /// [`Backpressure`](crate::DropReason::Backpressure). It works only with the sampler's log
    /// ([`with_decision_log`](Self::with_decision_log)).
    pub const fn with_backpressure(mut self, on: bool) -> Self {
        self.options.engine.backpressure = on;
        self
    }
}
