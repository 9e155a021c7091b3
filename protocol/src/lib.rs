//! The words that every part of an OpenTelemetry to Sentry bridge shares.
//!
//! Headers and their grammar, sampling numbers, what an OpenTelemetry `Context` carries from `extract` to the
//! sampler and to `inject`, and the names that a span gets in Sentry. It needs the OpenTelemetry API and nothing else.
//!
//! **Should you use this crate?** Probably not directly: `opentelemetry-sentry` has all of it as its module
//! `protocol`. Take it alone to write a propagator, sampler or exporter of your own that understands Sentry's headers.
//!
//! ```
//! use opentelemetry_sentry_protocol::SentryTrace;
//!
//! let header: SentryTrace = "771a43a4192642f0b136d5159a501700-7c7c2e6c5e1c4b0a-1".parse()?;
//! assert_eq!(header.sampled(), Some(true));
//! # Ok::<(), opentelemetry_sentry_protocol::InvalidSentryTrace>(())
//! ```
//!
//! # What it does not do
//!
//! It reads and writes no header, makes no decision and sends nothing; it has no async, no HTTP and no serde.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod baggage;
mod decision;
mod dsc;
mod dsn;
mod hex;
pub mod own_thread;
mod percent;
mod remote_trace;
mod sampling;
mod sentry_trace;
mod service;
mod traceparent;

pub use crate::{
    baggage::Baggage,
    decision::{Decision, DecisionLog},
    dsc::DynamicSamplingContext,
    dsn::{Dsn, InvalidDsn, org_id_of_host},
    remote_trace::{Incoming, IncomingDsc, RemoteTrace},
    sampling::{InvalidSampleRand, InvalidSampleRate, SampleRand, SampleRate},
    sentry_trace::{InvalidSentryTrace, SentryTrace},
    service::{DEFAULT_ENVIRONMENT, Service},
    traceparent::{InvalidTraceParent, TraceParent},
};
