#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod __shared;
mod baggage;
mod decision;
mod decision_log;
mod dsc;
mod dsn;
mod essentials;
mod found;
mod header;
mod member;
mod ot_state;
mod percent;
mod remote_trace;
mod sampling;
mod sentry_trace;
mod service;
mod traceparent;

pub use crate::{
    baggage::Baggage,
    decision::Decision,
    decision_log::DecisionLog,
    dsc::DynamicSamplingContext,
    dsn::{Dsn, InvalidDsn, org_id_of_host},
    remote_trace::{Incoming, IncomingDsc, RemoteTrace},
    sampling::{InvalidSampleRand, InvalidSampleRate, SampleRand, SampleRate, Unsampled},
    sentry_trace::{InvalidSentryTrace, SentryTrace},
    service::{DEFAULT_ENVIRONMENT, Service},
    traceparent::{InvalidTraceParent, TraceParent},
};
#[doc(hidden)]
pub use crate::{
    essentials::Essentials,
    ot_state::{OtState, Randomness, Threshold},
};
