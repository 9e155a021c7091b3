//! A buffer with a limit, and how texts and numbers are written into it.

use std::fmt;

use serde::{Serialize, ser};

/// A value has no JSON, such as a map whose keys are numbers.
#[derive(Debug)]
pub(crate) struct Unwritable;

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value has no JSON")
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Writes JSON.
pub(super) struct Writer<'a> {
    buffer: &'a mut [u8],
    /// The bytes of the buffer that are used.
    used: usize,
    /// The bytes of what did not fit.
    beyond: usize,
    /// What precedes the next key or value: a bracket, a comma or a colon; 0 at the beginning. It is written in one step
    /// with what follows. One byte is enough: an inner list is an entry of the outer one, whose next entry follows a comma.
    before: u8,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, used: 0, beyond: 0, before: 0 }
    }

    /// The bytes that everything takes so far.
    pub(super) const fn size(&self) -> usize {
        self.used + self.beyond
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        let end = self.used + bytes.len();
        match self.buffer.get_mut(self.used..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.used = end;
            }
            None => self.beyond += bytes.len(),
        }
    }

    /// Writes what precedes the next key or value.
    fn separate(&mut self) {
        if self.before != 0 {
            self.push(&[self.before]);
        }
        self.before = b',';
    }

    /// Begins a list or an object.
    #[inline]
    pub(super) fn open(&mut self, bracket: u8) {
        self.separate();
        self.before = bracket;
    }

    /// Ends a list or an object.
    #[inline]
    pub(super) fn close(&mut self, bracket: u8) {
        if self.before != b',' {
            // It is empty, so its first bracket is still to be written.
            self.separate();
        }
        self.push(&[bracket]);
    }

    /// Ends the key of an entry.
    #[inline]
    pub(super) const fn colon(&mut self) {
        self.before = b':';
    }

    /// Writes the key of an entry, which must be a text.
    #[inline]
    pub(super) fn key(&mut self, key: &(impl Serialize + ?Sized)) -> Result<(), Unwritable> {
        let start = self.used + 1;
        key.serialize(&mut *self)?;
        self.colon();
        // A key that did not fit is not in the buffer.
        let is_text = self.used <= start || self.buffer.get(start) == Some(&b'"');
        if is_text { Ok(()) } else { Err(Unwritable) }
    }

    /// Writes a value that is JSON already.
    #[inline]
    pub(super) fn value(&mut self, json: &[u8]) {
        self.separate();
        self.push(json);
    }

    /// Writes a text.
    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        let end = self.used + text.len() + 3;
        if let Some([before, open, place @ .., close]) = self.buffer.get_mut(self.used..end) {
            if self.before != 0 && copy_plain(text.as_bytes(), place) {
                (*before, *open, *close) = (self.before, b'"', b'"');
                self.before = b',';
                self.used = end;
                return;
            }
        }
        self.escaped(text.as_bytes());
    }

    /// Writes a text in which something is escaped, or for which there is no room.
    #[inline(never)]
    fn escaped(&mut self, text: &[u8]) {
        self.separate();
        self.push(b"\"");
        let mut rest = text;
        while let Some(place) = rest.iter().position(|byte| !is_plain_byte(*byte)) {
            self.push(&rest[..place]);
            self.escape(rest[place]);
            rest = &rest[place + 1..];
        }
        self.push(rest);
        self.push(b"\"");
    }

    fn escape(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' => self.push(b"\\\""),
            b'\\' => self.push(b"\\\\"),
            b'\n' => self.push(b"\\n"),
            b'\r' => self.push(b"\\r"),
            b'\t' => self.push(b"\\t"),
            0x08 => self.push(b"\\b"),
            0x0c => self.push(b"\\f"),
            _ => {
                let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
                self.push(b"\\u00");
                self.push(&digits);
            }
        }
    }

    pub(super) fn integer(&mut self, number: impl itoa::Integer) {
        self.value(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Writes a number in the fewest digits that are read as the same number. JSON has no infinities and no NaN.
    pub(super) fn float<F: zmij::Float>(&mut self, number: F, is_finite: bool) {
        if is_finite {
            self.value(zmij::Buffer::new().format_finite(number).as_bytes());
        } else {
            self.value(b"null");
        }
    }
}

const fn is_plain_byte(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

/// Copies a text to a place of its length. Returns whether nothing in it must be escaped, as in nearly all texts. So it copies
/// before it knows, and looks at eight bytes together.
#[inline]
fn copy_plain(mut text: &[u8], mut place: &mut [u8]) -> bool {
    while text.len() > 16 {
        let (Some((from, rest)), Some((to, place_of_rest))) = (text.split_first_chunk(), place.split_first_chunk_mut())
        else {
            return false;
        };
        *to = *from;
        if marks(*from) != 0 {
            return false;
        }
        (text, place) = (rest, place_of_rest);
    }
    match text.len() {
        8.. => copy_ends::<8>(text, place).is_some_and(|(first, last)| marks(first) | marks(last) == 0),
        4.. => copy_ends(text, place).is_some_and(|([a, b, c, d], [e, f, g, h])| marks([a, b, c, d, e, f, g, h]) == 0),
        _ => text.iter().zip(place).all(|(from, to)| {
            *to = *from;
            is_plain_byte(*from)
        }),
    }
}

/// Copies a text of `N` to `2 * N` bytes, as its first and its last bytes, which may overlap.
#[inline]
fn copy_ends<const N: usize>(text: &[u8], place: &mut [u8]) -> Option<([u8; N], [u8; N])> {
    let (first, last) = (*text.first_chunk()?, *text.last_chunk()?);
    *place.first_chunk_mut()? = first;
    *place.last_chunk_mut()? = last;
    Some((first, last))
}

/// 0 if none of eight bytes must be escaped. Subtracting a limit from a byte below 128 sets its highest bit if the byte is
/// smaller; a borrow reaches the next byte only then, so it changes no result.
#[inline]
fn marks(word: [u8; 8]) -> u64 {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let word = u64::from_le_bytes(word);
    let control = word.wrapping_sub(all(b' '));
    let quote = (word ^ all(b'"')).wrapping_sub(all(1));
    let backslash = (word ^ all(b'\\')).wrapping_sub(all(1));
    (control | quote | backslash) & !word & all(0x80)
}
