//! Reads the members of a header line: most of them in one pass, and those with odd characters part by part.

use std::{borrow::Cow, iter};

use crate::{
    header::{is_visible, trim},
    member::{PREFIX, push, sentry_key, split_once},
    percent,
};

/// The members of a line that can be sent again.
pub(super) fn read(line: &str) -> impl Iterator<Item = Member<'_>> {
    let mut rest = line;
    iter::from_fn(move || {
        while !rest.is_empty() {
            let scan = Scan::of(rest);
            let text = &rest[..scan.end];
            rest = rest.get(scan.end + 1..).unwrap_or_default();
            if let Some(member) = scan.member(text) {
                return Some(member);
            }
        }
        None
    })
}

/// One member as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    key: &'a str,
    /// The value of a Sentry member, or all of a foreign one.
    text: &'a str,
    pub(super) is_sentry: bool,
    /// Whether the key of a Sentry member is percent-encoded: then it is decoded before it is compared.
    is_escaped: bool,
}

impl<'a> Member<'a> {
    /// Reads a member that can be sent again, part by part.
    fn parse(text: &'a str) -> Option<Self> {
        let text = trim(text);
        let (key, value) = split_once(text, b'=')?;
        let (key, value) = (trim(key), trim(value));
        if key.is_empty() {
            return None;
        }
        match sentry_key(key) {
            None if key.starts_with(PREFIX) => None, // Sentry's, but it cannot be decoded
            // W3C allows an empty value. All of a foreign member is sent again, so all of it must be visible.
            None => is_visible(text).then_some(Self { key, text, is_sentry: false, is_escaped: false }),
            Some(name) if name.is_empty() || !is_visible(key) || !text.is_ascii() => None,
            Some(name) => {
                let text = split_once(value, b';').map_or(value, |(value, _)| trim(value));
                let is_escaped = matches!(name, Cow::Owned(_));
                let valid = !text.is_empty() && is_visible(text) && percent::is_valid(text);
                valid.then_some(Self { key, text, is_sentry: true, is_escaped })
            }
        }
    }

    /// Whether both members are of one kind and have the same key. Only Sentry's keys are decoded: foreign ones are opaque
    /// to us.
    #[inline] // each member is compared with all before it
    pub(super) fn is_same_key(&self, other: &Self) -> bool {
        let is_escaped = self.is_escaped || other.is_escaped;
        self.is_sentry == other.is_sentry
            && (self.key == other.key || (is_escaped && percent::is_same(self.key, other.key)))
    }

    /// The decoded key, without its prefix, and the encoded value of a Sentry member.
    pub(super) fn entry(&self) -> Option<(Cow<'a, str>, &'a str)> {
        match self.is_escaped {
            true => Some((sentry_key(self.key)?, self.text)),
            false => Some((Cow::Borrowed(self.key.strip_prefix(PREFIX)?), self.text)),
        }
    }

    /// The length of the printed member.
    pub(super) const fn len(&self) -> usize {
        let start = if self.is_sentry { self.key.len() + 1 } else { 0 };
        start + self.text.len()
    }

    pub(super) fn print(&self, text: &mut String) {
        if self.is_sentry {
            push(text, self.key);
            text.push('=');
            text.push_str(self.text);
        } else {
            push(text, self.text);
        }
    }
}

/// What one pass over a member finds.
struct Scan {
    /// Where the member ends: at a comma or at the end of the line.
    end: usize,
    /// Where its first `=` is.
    equals: Option<usize>,
    /// The classes of the characters before that.
    key: u8,
    /// The classes of all its characters.
    all: u8,
}

impl Scan {
    fn of(line: &str) -> Self {
        let (mut key, mut all, mut equals) = (0, 0, None);
        let mut end = plain(line.as_bytes());
        while let Some((byte, rest)) = line.as_bytes().get(end..).and_then(<[u8]>::split_first) {
            let class = class(*byte);
            all |= class;
            match class {
                COMMA => break,
                EQUALS if equals.is_none() => (equals, key) = (Some(end), all),
                _ => {}
            }
            end += 1 + plain(rest);
        }
        Self { end, equals, key, all }
    }

    /// The same as [`Member::parse`] of the text that was scanned.
    fn member(self, text: &str) -> Option<Member<'_>> {
        if self.all & ODD != 0 || self.key & PERCENT != 0 {
            return Member::parse(text);
        }
        let at = self.equals?;
        let trimmed = |text| if self.all & BLANK == 0 { text } else { trim(text) };
        let (key, value) = (trimmed(&text[..at]), trimmed(&text[at + 1..]));
        let is_sentry = key.starts_with(PREFIX);
        if key.is_empty() || (is_sentry && key.len() == PREFIX.len()) {
            return None;
        }
        if !is_sentry {
            return Some(Member { key, text: trimmed(text), is_sentry, is_escaped: false });
        }
        let value = if self.all & SEMICOLON == 0 { value } else { trim(value.split(';').next().unwrap_or_default()) };
        let is_valid = !value.is_empty() && (self.all & PERCENT == 0 || percent::is_valid(value));
        is_valid.then_some(Member { key, text: value, is_sentry, is_escaped: false })
    }
}

/// How many characters at the beginning need no attention. Most do not, so four of them are looked at together.
fn plain(bytes: &[u8]) -> usize {
    let is_plain = |block: &[u8]| block.iter().fold(0, |all, byte| all | class(*byte)) == 0;
    let plain = 4 * bytes.chunks_exact(4).take_while(|block| is_plain(block)).count();
    plain + bytes[plain..].iter().take_while(|byte| class(**byte) == 0).count()
}

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

const COMMA: u8 = 1;
const EQUALS: u8 = 2;
const SEMICOLON: u8 = 4;
const PERCENT: u8 = 8;
const BLANK: u8 = 16;

/// Anything but visible ASCII and blanks.
const ODD: u8 = 32;

/// The class of each byte; 0 for what needs no attention.
const CLASSES: [u8; 256] = {
    let mut classes = [ODD; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        classes[byte as usize] = 0;
        byte += 1;
    }
    classes[b',' as usize] = COMMA;
    classes[b'=' as usize] = EQUALS;
    classes[b';' as usize] = SEMICOLON;
    classes[b'%' as usize] = PERCENT;
    classes[b' ' as usize] = BLANK;
    classes
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn one_pass_finds_what_reading_part_by_part_finds(
            line in "((sentry-|%73entry-|s)?[a%A=;, \t\u{7f}é]{0,6}(=|,)?[a%4=;, \té]{0,6}){0,4}",
        ) {
            let parts: Vec<_> = line.split(',').filter_map(Member::parse).collect();
            prop_assert_eq!(read(&line).collect::<Vec<_>>(), parts);
        }
    }
}
