//! Splits a trace that is too large for one transaction into parts.
//!
//! The spans are put into an order in which each subtree is contiguous, and each span goes into the first part with
//! room for it. So siblings share a part, and `n` spans leave in `n / 1000` transactions, rounded up, for any shape of
//! the tree. The first span of a part becomes its transaction. The others need not be its descendants: Sentry finds the
//! place of each span by its ids.

use std::mem;

use super::{ended::EndedSpan, trace::Trace, tree::preorder};

/// The most spans of a transaction that Sentry keeps.
pub(crate) const MAX_SPANS: usize = 1000;

/// The room in one transaction.
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

/// Splits a trace so that no part has more bytes, unless a single span does. `sizes` are the sizes of its spans.
pub(crate) fn split_by_size(trace: Trace, bytes: usize, sizes: &[usize]) -> Vec<Trace> {
    split(trace, Room { spans: MAX_SPANS, bytes }, sizes)
}

fn split(mut trace: Trace, whole: Room, sizes: &[usize]) -> Vec<Trace> {
    let order = preorder(&trace.spans);
    // The room that is left in each part.
    let mut parts: Vec<Room> = Vec::new();
    // The part of each span. The spans are moved at the end, because a part must keep their order.
    let mut part_of = vec![0; trace.spans.len()];
    // Parts before this one are full. Without it each span of a wide trace would look at all of them again.
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
