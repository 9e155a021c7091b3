//! The causes of an error.

use std::{error::Error, iter};

/// The most causes that are read. An error can be its own cause, and reading would not end.
pub const MAX_CAUSES: usize = 32;

/// The causes of an error, from the outermost to the innermost.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(error.source(), |&cause| cause.source()).take(MAX_CAUSES)
}
