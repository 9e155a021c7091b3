//! The members of a `baggage` header: how they are separated, and which of them are Sentry's.

use std::{borrow::Cow, iter};

use crate::percent;

/// The beginning of the key of every Sentry member.
pub(crate) const PREFIX: &str = "sentry-";

/// Appends a member, with a comma before it unless it is the first.
pub(crate) fn push(text: &mut String, member: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(member);
}

/// The members of a header. For texts as short as a member this is faster than `str::split`.
pub(crate) fn split(members: &str) -> impl Iterator<Item = &str> {
    let mut rest = members;
    iter::from_fn(move || {
        while !rest.is_empty() {
            let end = rest.bytes().position(|byte| byte == b',').unwrap_or(rest.len());
            let member = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    })
}

/// The number of members of a printed header.
pub(crate) fn count(members: &str) -> usize {
    // Blocks whose commas a byte can count are vectorised.
    let commas = |block: &[u8]| usize::from(block.iter().fold(0_u8, |count, byte| count + u8::from(*byte == b',')));
    let commas: usize = members.as_bytes().chunks(usize::from(u8::MAX)).map(commas).sum();
    if members.is_empty() { 0 } else { commas + 1 }
}

/// The decoded key of a Sentry member without its prefix; `None` for a foreign member.
pub(crate) fn sentry_key(key: &str) -> Option<Cow<'_, str>> {
    match percent::decode(key)? {
        Cow::Borrowed(key) => key.strip_prefix(PREFIX).map(Cow::Borrowed),
        Cow::Owned(key) => key.strip_prefix(PREFIX).map(|key| Cow::Owned(key.to_owned())),
    }
}

/// Splits at the first occurrence of a byte. For texts as short as a member this is faster than `str::split_once`.
pub(crate) fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|found| found == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}
