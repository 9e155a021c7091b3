//! Cuts the longest texts of a single span that is larger than Sentry accepts.

use std::borrow::Cow;

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

use crate::account::Trimmed;

/// The bytes that an attribute takes in addition to its texts.
const OVERHEAD: usize = 16;

/// Cuts a span to about `room` bytes: the longest texts first, and attributes only if their keys alone are too long.
pub(crate) fn trim(span: &mut SpanData, room: usize) -> Trimmed {
    let mut trimmed = Trimmed::default();
    let mut left = room / 2;
    trimmed += keep_keys(&mut span.attributes, &mut left);
    span.events.events.iter_mut().for_each(|event| trimmed += keep_keys(&mut event.attributes, &mut left));
    span.links.links.retain_mut(|link| {
        trimmed += keep_keys(&mut link.attributes, &mut left);
        // The ids and flags of a link take about a hundred bytes.
        let fits = left >= 100;
        left = left.saturating_sub(100);
        trimmed.values += u64::from(!fits);
        fits
    });
    let mut lengths = Vec::new();
    for_each_text(span, |text| lengths.push(text.as_str().len()));
    let longest = longest_that_fits(lengths, room / 2);
    for_each_text(span, |text| {
        if let Some(kept) = with_mark(text.as_str(), longest, &mut trimmed) {
            *text = kept.into();
        }
    });
    for text in [Some(&mut span.name), description(&mut span.status)].into_iter().flatten() {
        if let Some(kept) = with_mark(text, longest, &mut trimmed) {
            *text = kept.into();
        }
    }
    trimmed
}

fn description(status: &mut Status) -> Option<&mut Cow<'static, str>> {
    match status {
        Status::Error { description } => Some(description),
        Status::Ok | Status::Unset => None,
    }
}

/// Keeps the first attributes whose keys and numbers fit into `left`, and removes the others.
pub(super) fn keep_keys(attributes: &mut Vec<KeyValue>, left: &mut usize) -> Trimmed {
    let mut trimmed = Trimmed::default();
    attributes.retain_mut(|attribute| {
        let numbers = match &mut attribute.value {
            Value::Array(Array::Bool(all)) => cut_list(all, *left / OVERHEAD, &mut trimmed),
            Value::Array(Array::I64(all)) => cut_list(all, *left / OVERHEAD, &mut trimmed),
            Value::Array(Array::F64(all)) => cut_list(all, *left / OVERHEAD, &mut trimmed),
            Value::Array(Array::String(all)) => cut_list(all, *left / OVERHEAD, &mut trimmed),
            _ => 0,
        };
        let size = attribute.key.as_str().len() + OVERHEAD * (1 + numbers);
        let fits = size <= *left;
        if fits {
            *left -= size;
        } else {
            trimmed += Trimmed { values: 1, bytes: size as u64 };
        }
        fits
    });
    trimmed
}

/// What [`keep_keys`] counts of attributes.
pub(super) fn size_of_keys(attributes: &[KeyValue]) -> usize {
    let values = |value: &Value| match value {
        Value::Array(Array::Bool(all)) => all.len(),
        Value::Array(Array::I64(all)) => all.len(),
        Value::Array(Array::F64(all)) => all.len(),
        Value::Array(Array::String(all)) => all.len(),
        _ => 0,
    };
    let sizes =
        attributes.iter().map(|attribute| attribute.key.as_str().len() + OVERHEAD * (1 + values(&attribute.value)));
    sizes.sum()
}

/// Keeps the first `most` values of a list, and returns how many are left.
fn cut_list<T>(all: &mut Vec<T>, most: usize, trimmed: &mut Trimmed) -> usize {
    if all.len() > most {
        trimmed.values += 1;
        trimmed.bytes += ((all.len() - most) * size_of::<T>()) as u64;
        all.truncate(most);
    }
    all.len()
}

fn for_each_text(span: &mut SpanData, mut f: impl FnMut(&mut StringValue)) {
    let events = span.events.events.iter_mut().flat_map(|event| &mut event.attributes);
    let links = span.links.links.iter_mut().flat_map(|link| &mut link.attributes);
    for attribute in span.attributes.iter_mut().chain(events).chain(links) {
        match &mut attribute.value {
            Value::String(text) => f(text),
            Value::Array(Array::String(texts)) => texts.iter_mut().for_each(&mut f),
            _ => {}
        }
    }
}

/// The length to which the longest texts must be cut so that all texts together fit.
pub(super) fn longest_that_fits(mut lengths: Vec<usize>, room: usize) -> usize {
    lengths.sort_unstable();
    let mut left = room;
    let count = lengths.len();
    for (place, length) in lengths.into_iter().enumerate() {
        let share = left / (count - place);
        if length > share {
            return share;
        }
        left -= length;
    }
    left
}

/// The beginning of a text that is too long, with a mark at the end. Counts what is removed.
pub(super) fn with_mark(text: &str, max: usize, trimmed: &mut Trimmed) -> Option<String> {
    const MARK: &str = "...";
    if text.len() <= max {
        return None;
    }
    let mut end = max.saturating_sub(MARK.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = format!("{}{MARK}", &text[..end]);
    // The mark may be longer than a text of a few bytes.
    *trimmed += Trimmed { values: 1, bytes: text.len().saturating_sub(kept.len()) as u64 };
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_never_counts_less_than_nothing() {
        for (text, max, kept, bytes) in [
            ("abcdef", 6, None, 0),
            ("abcdef", 5, Some("ab..."), 1),
            ("éééé", 6, Some("é..."), 3),
            ("abcdef", 0, Some("..."), 3),
            ("a", 0, Some("..."), 0),
        ] {
            let mut trimmed = Trimmed::default();
            assert_eq!(with_mark(text, max, &mut trimmed).as_deref(), kept, "{text} {max}");
            assert_eq!(trimmed, Trimmed { values: u64::from(kept.is_some()), bytes });
        }
    }
}
