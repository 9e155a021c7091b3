//! For your own tests: an ingest on loopback, and what a trace becomes.

mod conversion;

pub use self::conversion::Conversion;
#[doc(inline)]
pub use opentelemetry_sentry_testing::{
    Answer, Envelope, Gate, InvalidEnvelope, Item, LocalIngest, RecordedRequest, WaitTimeout,
};
