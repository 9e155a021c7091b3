//! What is too large for one transaction, in parts.
//!
//! The spans stand in an order in which subtrees are contiguous, and each part takes what fits. So siblings share a
//! part, and `n` spans leave in `n / 1000` transactions whatever their shape is. The first span of a part is its
//! transaction; the others need not be its descendants. Sentry places all of them by their ids.

use std::mem;

use super::{ended::EndedSpan, trace::Trace, tree::preorder};

/// The most spans of a transaction that Sentry keeps.
pub(crate) const MAX_SPANS: usize = 1000;

/// What one transaction can hold.
#[derive(Clone, Copy)]
struct Room {
    spans: usize,
    bytes: usize,
}

/// Splits a trace so that no part has more than [`MAX_SPANS`] spans.
pub(crate) fn split_by_count(trace: Trace) -> Vec<Trace> {
    if trace.spans.len() <= MAX_SPANS {
        return vec![trace];
    }
    split(trace, Room { spans: MAX_SPANS, bytes: usize::MAX }, &[])
}

/// Splits a trace so that no part has more bytes, as far as single spans allow it. `sizes` are those of its spans.
pub(crate) fn split_by_size(trace: Trace, bytes: usize, sizes: &[usize]) -> Vec<Trace> {
    split(trace, Room { spans: MAX_SPANS, bytes }, sizes)
}

fn split(mut trace: Trace, whole: Room, sizes: &[usize]) -> Vec<Trace> {
    let order = preorder(&trace.spans);
    // The room that is left in each part, and the part of each span.
    let mut parts: Vec<Room> = Vec::new();
    let mut part_of = vec![0; trace.spans.len()];
    // Parts before this one have no room for even one more span.
    let mut first_open = 0;
    for place in &order {
        let bytes = sizes.get(*place).copied().unwrap_or(0);
        let fits = |room: &Room| room.spans > 0 && room.bytes >= bytes;
        let part = match parts.iter().skip(first_open).position(fits) {
            Some(after) => first_open + after,
            None => {
                parts.push(whole);
                parts.len() - 1
            }
        };
        parts[part].spans -= 1;
        parts[part].bytes = parts[part].bytes.saturating_sub(bytes);
        part_of[*place] = part;
        while parts.get(first_open).is_some_and(|room| room.spans == 0) {
            first_open += 1;
        }
    }
    let mut sorted: Vec<Vec<EndedSpan>> =
        parts.iter().map(|room| Vec::with_capacity(whole.spans - room.spans)).collect();
    let mut spans: Vec<_> = mem::take(&mut trace.spans).into_iter().map(Some).collect();
    for place in order {
        sorted[part_of[place]].extend(spans[place].take());
    }
    sorted.into_iter().map(|spans| trace.with_spans(spans)).collect()
}
