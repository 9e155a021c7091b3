//! A streamed span: Sentry's form of today, in which each span leaves by itself. The rules are in the guide, page
//! `mapping`, in the columns for streams.
//!
//! | file | contains |
//! | --- | --- |
//! | `span` | the fields of a span |
//! | `attributes` | its attributes: what is inferred, and what the span has |
//! | `typed` | a value with its type |
//! | `names` | today's names of old attributes |

mod attributes;
mod names;
mod span;
#[cfg(test)]
mod tests;
mod typed;

pub(crate) use self::{
    attributes::streamed_key,
    span::{SegmentInfo, StreamedSpan},
};
pub(super) use self::{
    names::current_name,
    typed::{Typed, TypedList},
};
