//! The settings of delivery.

use std::path::PathBuf;

use flate2::Crc;
use opentelemetry_sentry_protocol::Dsn;

use super::{compress::Encoding, destination::Destination};

/// How envelopes are queued, compressed and kept.
#[derive(Debug)]
pub(crate) struct DeliveryOptions {
    /// Bytes of serialised envelopes that may wait in memory.
    pub(crate) queue_limit: usize,
    /// `None` for the default.
    pub(crate) encoding: Option<Encoding>,
    /// Requests are such that a browser sends them without asking the server before.
    pub(crate) has_simple_requests: bool,
    /// The directory for envelopes that could not be delivered.
    pub(crate) spool_dir: Option<PathBuf>,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self { queue_limit: 32 << 20, encoding: None, has_simple_requests: false, spool_dir: None }
    }
}

impl DeliveryOptions {
    /// How bodies are compressed on their way to this server.
    ///
    /// Most tunnels, that of Sentry's Lambda extension among them, read the first line of the body as it is, so a compressed
    /// one would be refused.
    pub(crate) fn encoding(&self, sentry: Option<&Destination>) -> Encoding {
        let is_tunnel = sentry.is_some_and(|sentry| sentry.dsn().is_some());
        let default = if is_tunnel { Encoding::Identity } else { Encoding::default() };
        if self.has_simple_requests { Encoding::Identity } else { self.encoding.unwrap_or(default) }
    }

    /// The options with this project's folder in the spool directory, because projects may share the directory.
    pub(crate) fn of_project(mut self, dsn: Option<&Dsn>) -> Self {
        // Absolute from now on, so that the process may change its directory.
        let absolute = |dir: PathBuf| std::path::absolute(&dir).unwrap_or(dir);
        self.spool_dir = self.spool_dir.map(|dir| absolute(dir).join(folder_of(dsn)));
        self
    }
}

/// A name for the folder of a project: what a person recognises, without characters that a file system may refuse, and
/// a checksum of the URL and the key, in which every part of the DSN that decides where envelopes go counts.
fn folder_of(dsn: Option<&Dsn>) -> String {
    let Some(dsn) = dsn else { return "spotlight".to_owned() };
    let mut checksum = Crc::new();
    checksum.update(dsn.envelope_url().as_bytes());
    checksum.update(dsn.public_key().as_bytes());
    let name = format!("{}-{}-{}", dsn.host(), dsn.port(), dsn.project_id());
    // File systems refuse names of more than 255 bytes.
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("{}-{:08x}", &name[..name.len().min(200)], checksum.sum())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_destination_has_a_folder_of_its_own() {
        let dsns = [
            "http://a@host/1",
            "http://b@host/1",
            "http://a@host/2",
            "http://a@host:8080/1",
            "https://a@host:80/1",
            "http://a@host/relay/1",
            "http://a@other/1",
            "http://a@[::1]/1",
        ];
        let folder = |dsn: &str| folder_of(Some(&dsn.parse().unwrap()));
        let folders: BTreeSet<_> = dsns.into_iter().map(folder).collect();
        assert_eq!(folders.len(), dsns.len(), "{folders:?}");
        let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        assert!(folders.iter().all(|name| name.chars().all(is_fine)));
        assert!(folder(&format!("http://a@{}/1", "x".repeat(250))).len() < 255);
    }
}
