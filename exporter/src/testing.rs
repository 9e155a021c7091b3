//! For your own tests: a Sentry server on loopback, and the conversion of a trace without any network.

mod conversion;

pub use self::conversion::Conversion;
#[doc(inline)]
pub use opentelemetry_sentry_testing::{
    Answer, Captured, CheckIn, Envelope, ErrorEvent, Gate, InvalidEnvelope, Item, LocalIngest, Log, Metric, OtlpLog,
    OtlpSpan, RecordedRequest, Span, StreamedSpan, Transaction, WaitTimeout,
};
