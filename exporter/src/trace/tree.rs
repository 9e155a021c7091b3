//! The tree of one trace: which span is the parent of which.

use std::{collections::HashMap, mem};

use foldhash::fast::RandomState;
use opentelemetry::SpanId;

use super::ended::EndedSpan;

/// For each span the place of its parent in the list, if the list contains it.
fn parents(spans: &[EndedSpan]) -> Vec<Option<usize>> {
    // If two spans have the same id, which only happens with a broken id generator, the first one gets the children.
    let mut places: HashMap<SpanId, usize, RandomState> =
        HashMap::with_capacity_and_hasher(spans.len(), RandomState::default());
    for (place, span) in spans.iter().enumerate() {
        places.entry(span.span_context.span_id()).or_insert(place);
    }
    let parent_of = |(place, span): (usize, &EndedSpan)| {
        let parent = places.get(&span.parent_span_id).copied();
        parent.filter(|parent| *parent != place && !span.is_local_root())
    };
    spans.iter().enumerate().map(parent_of).collect()
}

/// The places of the spans in an order in which each subtree is contiguous, its root first. The first span stays first.
pub(super) fn preorder(spans: &[EndedSpan]) -> Vec<usize> {
    let mut children = vec![Vec::new(); spans.len()];
    let mut tops = Vec::new();
    for (place, parent) in parents(spans).into_iter().enumerate() {
        match parent.filter(|_| place > 0) {
            Some(parent) => children[parent].push(place),
            None => tops.push(place),
        }
    }
    // Spans in a circle of parents cannot be reached from any top, so they follow at the end.
    let mut starts = tops.into_iter().chain(0..spans.len());
    let (mut order, mut path) = (Vec::with_capacity(spans.len()), Vec::new());
    let mut is_taken = vec![false; spans.len()];
    while let Some(place) = path.pop().or_else(|| starts.next()) {
        if !mem::replace(&mut is_taken[place], true) {
            order.push(place);
            path.extend(children[place].iter().rev());
        }
    }
    order
}

/// Removes some spans. Their children move up to the nearest ancestor that stays.
///
/// If the first span is removed, the next one that stays becomes the first.
pub(crate) fn without(mut spans: Vec<EndedSpan>, is_out: impl Fn(&EndedSpan) -> bool) -> Vec<EndedSpan> {
    let out: Vec<_> = spans.iter().map(is_out).collect();
    if !out.contains(&true) {
        return spans;
    }
    let parents = parents(&spans);
    for place in 0..spans.len() {
        let mut parent = parents[place];
        let mut id = spans[place].parent_span_id;
        // The limit on the steps ends the walk in a circle of parents.
        for _ in 0..spans.len() {
            let Some(above) = parent.filter(|above| out[*above]) else { break };
            id = spans[above].parent_span_id;
            parent = parents[above];
        }
        if !out[place] {
            spans[place].set_parent(id);
        }
    }
    spans.into_iter().zip(out).filter(|(_, out)| !out).map(|(span, _)| span).collect()
}
