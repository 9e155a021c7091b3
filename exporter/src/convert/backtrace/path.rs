//! Parses the path of a function: its crate, its module, and the parts that differ between builds.
//!
//! | function | module | crate |
//! | --- | --- | --- |
//! | `shop::cart::buy` | `shop::cart` | `shop` |
//! | `shop::cart::buy::{{closure}}` | `shop::cart` | `shop` |
//! | `shop::buy::<std::fs::File>::inner` | `shop::buy` | `shop` |
//! | `<shop::Cart<T> as core::fmt::Debug>::fmt` | `shop::Cart<T>` | `shop` |
//! | `<F as core::ops::FnOnce<A>>::call_once` | `core::ops::FnOnce<A>` | `core` |
//! | `core::iter::<impl core::iter::Step for u8>::next` | `core::iter` | `core` |
//! | `main` | | |
//!
//! Each function is linear in the length of the name, for any nesting.

use std::{borrow::Cow, iter};

/// Removes the parts that differ between builds: `::h0123456789abcdef` at the end, and `[0123456789abcdef]` after a
/// crate.
pub(super) fn without_hashes(name: &str) -> Cow<'_, str> {
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let named = name.rsplit_once("::h").filter(|(path, hash)| !path.is_empty() && is_hash(hash));
    let name = named.map_or(name, |(path, _)| path);
    let mut clean = String::new();
    let mut kept = 0;
    for (at, _) in name.match_indices('[') {
        if let (Some(text), Some(end)) = (name.get(kept..at), end_of_crate_hash(name, at)) {
            clean.push_str(text);
            kept = end;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(name);
    }
    clean.push_str(name.get(kept..).unwrap_or_default());
    Cow::Owned(clean)
}

/// The end of the hash whose bracket opens at this place, if it is a hash.
fn end_of_crate_hash(name: &str, open: usize) -> Option<usize> {
    let bytes = name.as_bytes();
    let before = *bytes.get(open.checked_sub(1)?)?;
    let digits = bytes.get(open + 1..)?;
    // 64 bits in hexadecimal digits, without leading zeros.
    let length = digits.iter().take(17).position(|byte| !byte.is_ascii_hexdigit())?;
    let is_hash = length > 0 && digits.get(length) == Some(&b']') && (before.is_ascii_alphanumeric() || before == b'_');
    is_hash.then_some(open + 1 + length + 1)
}

/// What contains a function: its path without the last name and without the closures and generics after it.
pub(super) fn module(function: &str) -> Option<&str> {
    let cuts = outside_brackets(function).map(|(at, _)| at).filter(|at| is_at(function, *at, "::"));
    let (mut start, mut module, mut last, mut names) = (0, None, None, 0);
    for end in cuts.chain(iter::once(function.len())) {
        let segment = function.get(start..end).unwrap_or_default();
        if start == 0 || !segment.starts_with(['{', '<']) {
            module = last;
            last = Some(end);
            names += 1;
        }
        start = end + 2;
    }
    let module = function.get(..module?).filter(|module| !module.is_empty())?;
    // `<Type as Trait>::method` is in the type.
    if names == 2 && module.starts_with('<') { owner(function) } else { Some(module) }
}

/// The path that determines the crate: for `<Type as Trait>::method` the type, or the trait if the type has no path.
fn owner(function: &str) -> Option<&str> {
    let Some(inner) = function.strip_prefix('<') else { return Some(function) };
    let close = outside_brackets(inner).find(|(_, byte)| *byte == b'>').map_or(inner.len(), |(at, _)| at);
    let inner = inner.get(..close)?;
    let split = outside_brackets(inner).map(|(at, _)| at).find(|at| is_at(inner, *at, " as "));
    let (of, as_trait) = split.and_then(|at| inner.split_at_checked(at)).unwrap_or((inner, ""));
    [of, as_trait.trim_start_matches(" as ")].into_iter().find(|path| first_name(path).is_some())
}

/// The crate that a function belongs to; `None` if its name has no path.
pub(super) fn crate_of(function: &str) -> Option<&str> {
    owner(function).and_then(first_name)
}

/// The first name of a path. References, brackets and words such as `dyn` before it are skipped.
fn first_name(path: &str) -> Option<&str> {
    let mut path = path;
    loop {
        let rest = path.trim_start_matches(['&', '*', '<', '[', '(', ' ']);
        let rest = ["mut ", "const ", "dyn "].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
        if rest.len() == path.len() {
            break;
        }
        path = rest;
    }
    let (name, _) = path.split_at_checked(path.find(|c: char| !c.is_alphanumeric() && c != '_')?)?;
    is_at(path, name.len(), "::").then_some(name).filter(|name| !name.is_empty())
}

pub(super) fn is_one_word(name: &str) -> bool {
    outside_brackets(name).all(|(_, byte)| !byte.is_ascii_whitespace())
}

fn is_at(text: &str, at: usize, part: &str) -> bool {
    text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(part.as_bytes()))
}

/// The bytes of a path outside all brackets, including the brackets that open there. The `>` of `->` is not a bracket.
fn outside_brackets(path: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut depth, mut previous) = (0_usize, 0);
    path.bytes().enumerate().filter(move |(_, byte)| {
        let is_arrow = *byte == b'>' && previous == b'-';
        let is_outside = depth == 0 && !is_arrow;
        match byte {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' | b')' | b']' | b'}' if !is_arrow => depth = depth.saturating_sub(1),
            _ => {}
        }
        previous = *byte;
        is_outside
    })
}
