//! The engine's side of OTLP exporters: what the thread that exports pays for.

use super::{Engine, machine::Shared};
use crate::packing::OtlpParts;

impl Engine {
    /// Notes that OTLP exporters use it.
    pub(crate) fn expect_otlp(&self) {
        self.shared.otlp.expect();
    }

    /// The most bytes of an OTLP request that is sent in one piece.
    pub(crate) fn largest_export(&self) -> usize {
        self.shared.otlp.limit()
    }

    /// Takes what an OTLP exporter has written: counts it, and sends what can be sent. Returns whether it still sends.
    pub(crate) fn export(&self, parts: OtlpParts) -> bool {
        let Shared { otlp, ledger, .. } = &self.shared;
        if let Some((reason, counts)) = parts.dropped {
            ledger.received(counts.spans);
            ledger.logs_received(counts.logs);
            ledger.dropped(reason, counts);
        }
        otlp.push(parts.envelopes, ledger)
    }

    /// Whether there is a server for it: Spotlight alone takes no OTLP.
    pub(crate) const fn has_server(&self) -> bool {
        self.server.is_some()
    }
}
