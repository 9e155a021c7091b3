//! What the values of all headers have in common.

/// White space that HTTP allows around a value or a part of one: no line breaks.
pub(crate) const WHITE: [char; 2] = [' ', '\t'];

/// A value without the white space around it.
pub(crate) fn trim(text: &str) -> &str {
    let is_white = |end: Option<&u8>| matches!(end, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    // Most values need no trimming, and the search decodes characters.
    if is_white(bytes.first()) || is_white(bytes.last()) { text.trim_matches(WHITE) } else { text }
}

/// Whether a header can carry this text: visible ASCII and blanks only.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    // `all` would stop at the first other byte, and therefore look at one byte at a time. This is vectorised.
    text.bytes().fold(true, |visible, byte| visible & matches!(byte, b' '..=b'~'))
}
