//! Which lines of a text are a Rust stack trace?
//!
//! | line | read as |
//! | --- | --- |
//! | `0: shop::buy`, then `at ./src/main.rs:3:5` | a frame of std's `Backtrace`, or of the crate `backtrace` |
//! | `0: 0x55d0 - shop::buy::h0123456789abcdef` | the same in full: with an address and a hash, which is left out |
//! | `std[e28293b1aa0f68bd]::panicking` | a crate with its hash, which is left out |
//! | a line without a number, indented like a name | a function that was inlined into the one above |
//! | `Stack backtrace:` (anyhow, eyre), `stack backtrace:` (a panic) | frames follow; numbers above are causes |
//! | any other text at the beginning | no frames, until there is such a heading |
//! | any other text after frames, such as `note: …` | the end |
//! | `at …` without a frame above, numbers without paths and `.rs` files | another language, or a list: no frames |

use super::path::{is_one_word, module};

/// How many of the outermost frames are kept if a trace is too long.
pub(super) const OUTERMOST: usize = 50;

/// The most frames that are held while a text is read. It bounds the memory for hostile text. It is larger than the
/// number of frames that are sent, because some of the innermost ones are removed later.
const MAX_READ: usize = 1000;

/// A frame as in the text.
#[derive(Clone, Copy)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    pub(super) location: Option<Location<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct Location<'a> {
    pub(super) path: &'a str,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
}

/// Finds the first stack trace. The innermost frame is the first.
pub(super) fn symbols(text: &str) -> Vec<Symbol<'_>> {
    let mut symbols: Vec<Symbol<'_>> = Vec::new();
    // The text of a bare `Backtrace` has no heading, so frames may begin at once.
    let mut open = true;
    for line in text.lines() {
        match Line::of(line) {
            heading_or_text @ (Line::Heading | Line::Text) => {
                if symbols.iter().any(Symbol::is_rust) {
                    return symbols;
                }
                symbols.clear();
                open = matches!(heading_or_text, Line::Heading);
            }
            Line::Symbol(symbol) if open => push(&mut symbols, symbol),
            Line::Nothing | Line::Symbol(_) => {}
            Line::Inlined(_) | Line::Location(_) | Line::Detail if symbols.is_empty() => open = false,
            Line::Inlined(name) => push(&mut symbols, Symbol { name, location: None }),
            Line::Location(location) => {
                if let Some(symbol) = symbols.last_mut() {
                    symbol.location.get_or_insert(location);
                }
            }
            Line::Detail => {}
        }
    }
    if symbols.iter().any(Symbol::is_rust) { symbols } else { Vec::new() }
}

/// Adds a frame. If there is no room, the middle is removed: many frames at a time, because each removal moves the
/// rest.
fn push<'a>(symbols: &mut Vec<Symbol<'a>>, symbol: Symbol<'a>) {
    if symbols.len() == MAX_READ {
        symbols.drain(MAX_READ / 2..MAX_READ - OUTERMOST);
    }
    symbols.push(symbol);
}

impl Symbol<'_> {
    /// Whether it is a Rust frame for certain, and not an entry of a list.
    fn is_rust(&self) -> bool {
        self.location.is_some_and(|location| location.is_rust())
            || (module(self.name).is_some() && is_one_word(self.name))
    }
}

/// What a line of text is, without regard to the lines above it.
enum Line<'a> {
    /// Frames follow.
    Heading,
    Symbol(Symbol<'a>),
    Inlined(&'a str),
    Location(Location<'a>),
    /// Blank, or a note about frames that were left out.
    Nothing,
    /// Any other indented line.
    Detail,
    /// Any other line.
    Text,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        let trimmed = line.trim();
        // A name follows `{:4}: `, or the same number of blanks.
        let is_indented = line.starts_with("      ");
        if trimmed.is_empty() || trimmed.starts_with(['…', '⋮']) || trimmed.trim_start_matches('[').starts_with("...")
        {
            return Self::Nothing;
        }
        if let Some(line) = numbered(trimmed) {
            return line;
        }
        match trimmed.strip_prefix("at ") {
            Some(location) => Self::Location(Location::of(location.trim_start())),
            None if is_heading(trimmed) => Self::Heading,
            None if is_indented && is_one_word(trimmed) => Self::Inlined(trimmed),
            None if line.starts_with([' ', '\t']) => Self::Detail,
            None => Self::Text,
        }
    }
}

/// `Stack backtrace:` in upper or lower case, or the line that color-eyre draws.
fn is_heading(line: &str) -> bool {
    const WORD: &[u8] = b"backtrace";
    let line = line.trim_end_matches([':', '━', ' ']).as_bytes();
    let word = line.len().checked_sub(WORD.len()).and_then(|at| line.get(at..));
    word.is_some_and(|word| word.eq_ignore_ascii_case(WORD))
}

/// `0: name` and `0: 0x55d0 - name`.
fn numbered(line: &str) -> Option<Line<'_>> {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let name = rest.strip_prefix(": ").filter(|_| rest.len() < line.len())?.trim_start();
    let symbol = |name| Some(Line::Symbol(Symbol { name, location: None }));
    let Some(digits) = name.strip_prefix("0x") else { return symbol(name) };
    let Some((digits, name)) = digits.split_once(" - ") else { return Some(Line::Nothing) };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    // The end of the stack is printed as a frame with the address 0.
    if digits.bytes().all(|byte| byte == b'0') {
        return Some(Line::Nothing);
    }
    symbol(name.trim_start())
}

impl<'a> Location<'a> {
    /// `path`, `path:line` or `path:line:column`. The path itself may contain colons.
    fn of(text: &'a str) -> Self {
        let Some((head, last)) = split_number(text) else { return Self { path: text, line: None, column: None } };
        match split_number(head) {
            Some((path, line)) => Self { path, line: number(line), column: number(last) },
            None => Self { path: head, line: number(last), column: None },
        }
    }

    pub(super) fn filename(&self) -> &'a str {
        let is_absolute = self.path.starts_with(['/', '\\']) || self.path.as_bytes().get(1) == Some(&b':');
        match self.path.rsplit(['/', '\\']).next() {
            Some(last) if is_absolute => last,
            _ => self.path.trim_start_matches("./").trim_start_matches(".\\"),
        }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file is part of Rust, or was downloaded by cargo. The directory of cargo can be anywhere.
    pub(super) fn is_library(&self) -> bool {
        let mut previous = "";
        self.path.starts_with("/rustc/")
            || self.path.split(['/', '\\']).any(|part| {
                let is_download = matches!(previous, "cargo" | ".cargo") && matches!(part, "registry" | "git");
                previous = part;
                is_download || part == "rustlib"
            })
    }
}

fn split_number(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':').filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A line or column; debug information has 0 for an unknown one.
fn number(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|number| *number != 0)
}
