//! Ended spans, and which of them leave together.

mod assembler;
mod context;
mod ended;
mod tree;

pub(crate) use self::{
    assembler::{Assembler, MAX_SPANS, Now, Trace, WaitLimits, split},
    context::TraceContext,
    ended::EndedSpan,
    tree::{Fate, Tree},
};
