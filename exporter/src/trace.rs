//! Ended spans, and which of them leave together.

mod assembler;
mod context;
mod ended;
#[cfg(test)]
pub(crate) mod fixtures;
mod sent;
mod split;
#[cfg(test)]
mod tests;
#[expect(clippy::module_inception, reason = "the room is named after what it makes")]
mod trace;
mod tree;
mod waiting;

pub(crate) use self::{
    assembler::{Assembler, OpenRoots, WaitLimits},
    context::TraceContext,
    ended::EndedSpan,
    split::{MAX_SPANS, split_by_count, split_by_size},
    trace::{Fate, Trace},
    tree::without,
};
