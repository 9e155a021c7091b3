//! Why an exporter could not be built.

use std::{error::Error, fmt, io};

use opentelemetry_sentry_protocol::InvalidDsn;

use crate::{
    convert::{InvalidAttribute, InvalidTag},
    packing::BrokenPattern,
    transport::{BadUrl, ClientError},
};

/// The exporter could not be built.
pub struct ExporterBuildError {
    kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Dsn(InvalidDsn),
    Url(BadUrl),
    Client(ClientError),
    Tag(InvalidTag),
    Attribute(InvalidAttribute),
    /// A setting for transactions, and the one that takes its place for streamed spans.
    OnlyTransactions(&'static str, &'static str),
    Pattern(BrokenPattern),
    SpoolWithoutThread,
    Thread(io::Error),
}

impl From<Kind> for ExporterBuildError {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for ExporterBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Dsn(error) => write!(f, "with_dsn: {error}"),
            Kind::Url(BadUrl::Sentry(error)) => write!(f, "with_dsn: it gives no valid URL: {error}"),
            Kind::Url(BadUrl::Spotlight(url)) => {
                write!(f, "with_spotlight: it must be an absolute http URL, found {url:?}")
            }
            Kind::Url(BadUrl::Tunnel(url)) => {
                write!(f, "with_tunnel, SENTRY_TUNNEL: it must be an absolute http or https URL, found {url:?}")
            }
            Kind::Client(error) => error.fmt(f),
            Kind::Tag(error) => write!(f, "with_tag: {error}"),
            Kind::Attribute(error) => write!(f, "with_attribute: {error}"),
            Kind::OnlyTransactions(setting, instead) => {
                write!(
                    f,
                    "{setting}: streamed spans (TraceLifecycle::Stream, SENTRY_TRACE_LIFECYCLE) have no transactions; use {instead}"
                )
            }
            Kind::Pattern(error) => error.fmt(f),
            Kind::SpoolWithoutThread => {
                f.write_str("with_spool_dir: only the exporter's thread uses the disk, and `build_driven` starts none")
            }
            #[cfg(target_family = "wasm")]
            Kind::Thread(_) => f.write_str("this target has no threads: use `build_driven`"),
            #[cfg(not(target_family = "wasm"))]
            Kind::Thread(_) => f.write_str("the exporter's thread could not be started"),
        }
    }
}

opentelemetry_sentry_protocol::__shared::debug_as_message!(ExporterBuildError);

impl Error for ExporterBuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            // Their message already contains the cause.
            Kind::Dsn(_)
            | Kind::Url(_)
            | Kind::Tag(_)
            | Kind::Attribute(_)
            | Kind::OnlyTransactions(..)
            | Kind::Pattern(_)
            | Kind::SpoolWithoutThread => None,
            Kind::Client(error) => error.source(),
            Kind::Thread(error) => Some(error),
        }
    }
}
