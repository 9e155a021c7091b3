//! The settings of delivery.

use std::path::PathBuf;

use opentelemetry_sentry_protocol::Dsn;

use super::compress::Encoding;

/// How envelopes are queued, compressed and kept.
#[derive(Debug)]
pub(crate) struct DeliveryOptions {
    /// Bytes of serialised envelopes that may wait in memory.
    pub(crate) queue_limit: usize,
    pub(crate) encoding: Encoding,
    /// The directory for envelopes that could not be delivered.
    pub(crate) spool_dir: Option<PathBuf>,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self { queue_limit: 32 << 20, encoding: Encoding::default(), spool_dir: None }
    }
}

impl DeliveryOptions {
    /// The options with this project's folder in the spool directory, because projects may share the directory.
    pub(crate) fn of_project(mut self, dsn: Option<&Dsn>) -> Self {
        self.spool_dir = self.spool_dir.map(|dir| dir.join(folder_of(dsn)));
        self
    }
}

/// The name of a project's folder: host, project and key, without characters that a file system may refuse.
fn folder_of(dsn: Option<&Dsn>) -> String {
    let project = dsn.map(|dsn| format!("{}-{}-{}", dsn.host(), dsn.project_id(), dsn.public_key()));
    project.unwrap_or_else(|| "spotlight".to_owned()).replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
}
