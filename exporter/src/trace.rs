//! Ended spans, and which of them leave together.

mod assembler;
mod ended;
mod head;
mod tree;

pub(crate) use self::{
    assembler::{Assembler, MAX_SPANS, Now, Patience, Trace, split},
    ended::{is_local_root, size_of_span},
    head::Head,
    tree::{Fate, Tree},
};
