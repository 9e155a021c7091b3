//! What the application says about delivery.

use std::path::PathBuf;

use opentelemetry_sentry_protocol::Dsn;

use super::compress::Encoding;

/// How envelopes wait and leave.
#[derive(Debug)]
pub(crate) struct DeliveryOptions {
    /// Bytes of serialised envelopes that may wait in memory.
    pub(crate) queue_limit: usize,
    pub(crate) encoding: Encoding,
    /// Where envelopes are kept that could not be delivered.
    pub(crate) spool_dir: Option<PathBuf>,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self { queue_limit: 32 << 20, encoding: Encoding::default(), spool_dir: None }
    }
}

impl DeliveryOptions {
    /// The options with the folder of one project in the spool's directory, which several projects may share.
    pub(crate) fn of_project(mut self, dsn: Option<&Dsn>) -> Self {
        self.spool_dir = self.spool_dir.map(|dir| dir.join(folder_of(dsn)));
        self
    }
}

/// A name for the folder of a project: host, project and key, without characters that a file system may refuse.
fn folder_of(dsn: Option<&Dsn>) -> String {
    let project = dsn.map(|dsn| format!("{}-{}-{}", dsn.host(), dsn.project_id(), dsn.public_key()));
    project.unwrap_or_else(|| "spotlight".to_owned()).replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
}
