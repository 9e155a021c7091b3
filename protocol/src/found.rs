//! What an error shows of the value that it refuses.

use std::fmt;

/// How many characters of a text are shown: a hostile header must not fill the application's log.
const MAX_SHOWN: usize = 64;

/// The value that was found where another was expected, ready to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found(String);

impl Found {
    /// A text: quoted, escaped, and cut if it is long.
    pub(crate) fn text(text: &str) -> Self {
        Self(match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{:?}…", &text[..end]),
            None => format!("{text:?}"),
        })
    }

    /// A number.
    pub(crate) fn number(number: impl fmt::Display) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
