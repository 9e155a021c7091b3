//! How do envelopes get out? Everything that knows of threads, sockets, disks and clocks is in here.
//!
//! ```text
//! worker ─> outbox ─> delivery ─> HttpClient
//!              └──> spool
//! ```

mod backpressure;
mod client;
mod compress;
mod delivery;
mod destination;
mod link;
mod outbox;
mod rate_limit;
mod report;
mod spool;
mod worker;

use std::{path::PathBuf, sync::Arc};

use opentelemetry_http::HttpClient;
use opentelemetry_sentry_protocol::DecisionLog;

pub use self::compress::Encoding;
pub(crate) use self::{
    client::{ClientError, ClientSettings, default_client},
    destination::{BadUrl, Destinations},
    worker::Worker,
};
use crate::{assembler::Patience, packing::Packer};

/// What the worker is set up with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) packer: Packer,
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) destinations: Arc<Destinations>,
    pub(crate) decisions: Arc<DecisionLog>,
    pub(crate) patience: Patience,
    /// Bytes of serialised envelopes that may wait.
    pub(crate) queue_limit: usize,
    pub(crate) encoding: Encoding,
    /// Where envelopes are kept that could not be delivered.
    pub(crate) spool_dir: Option<PathBuf>,
    /// Whether the sample rate follows what the server can take.
    pub(crate) backpressure: bool,
}
