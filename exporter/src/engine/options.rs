//! The settings of the engine.

use crate::trace::TraceLifecycle;

/// How much may wait, and whether the sampler adapts to the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    /// Bytes of ended spans that may wait for their local root or to be converted.
    pub(crate) buffer_limit: usize,
    /// Whether the sampler keeps fewer traces while the server does not keep up.
    pub(crate) backpressure: bool,
    /// Log records that may wait to be converted.
    pub(crate) log_limit: usize,
    /// In which form spans leave.
    pub(crate) lifecycle: TraceLifecycle,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { buffer_limit: 64 << 20, log_limit: 1000, backpressure: false, lifecycle: TraceLifecycle::default() }
    }
}
