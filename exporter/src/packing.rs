//! From a trace to the envelopes in which it leaves.

mod contain;
mod envelope;
mod filter;
mod hook;
mod packer;
mod scrub;
mod trim;

pub(crate) use self::{
    envelope::{Envelope, MAX_TRANSACTION},
    filter::BrokenPattern,
    packer::{Packed, Packer, Rules},
};
pub use self::{
    filter::SpanFilter,
    hook::{SpanEvent, TransactionEvent},
};
