//! What the application says about the engine.

/// How much may wait, and what happens when the server cannot keep up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    /// Bytes of ended spans that may wait for their local root or to be converted.
    pub(crate) buffer_limit: usize,
    /// Whether the sample rate follows what the server can take.
    pub(crate) backpressure: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { buffer_limit: 64 << 20, backpressure: false }
    }
}
