//! Colours for a terminal.

use std::{
    env,
    io::{IsTerminal, stdout},
};

/// A colour or style of a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Magenta,
    Cyan,
}

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    /// Colours for a terminal unless `NO_COLOR` is set, and for a file only if `CLICOLOR_FORCE` is set.
    pub(crate) fn for_stdout() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        Self { enabled: (stdout().is_terminal() || is_set("CLICOLOR_FORCE")) && !is_set("NO_COLOR") }
    }

    #[cfg(test)]
    pub(crate) const fn none() -> Self {
        Self { enabled: false }
    }

    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => 1,
            Colour::Dim => 2,
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Magenta => 35,
            Colour::Cyan => 36,
        };
        if self.enabled && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
