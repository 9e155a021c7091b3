//! The tree that the spans of one trace form by their parent ids.

use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;
use opentelemetry::SpanId;

use super::ended::EndedSpan;

/// Why a group of spans leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its local root has ended.
    Whole,
    /// Its parent was sent before it ended.
    Late,
    /// Its parent is still open, or was never seen.
    Early,
}

/// Spans of one trace, in the order in which they ended.
#[derive(Debug)]
pub(crate) struct Tree {
    spans: Vec<EndedSpan>,
    /// For each span the place of its parent, if that is here too.
    parents: Vec<Option<usize>>,
}

/// Spans that leave together, their common ancestor first.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) spans: Vec<EndedSpan>,
    pub(crate) fate: Fate,
}

impl Tree {
    pub(crate) fn new(spans: Vec<EndedSpan>) -> Self {
        // Of two spans with one id, which only broken input has, the first is the parent of what names it.
        let mut places: HashMap<SpanId, usize, RandomState> =
            HashMap::with_capacity_and_hasher(spans.len(), RandomState::default());
        for (place, span) in spans.iter().enumerate() {
            places.entry(span.span_context.span_id()).or_insert(place);
        }
        let parent_of = |(place, span): (usize, &EndedSpan)| {
            let parent = places.get(&span.parent_span_id).copied().filter(|parent| *parent != place);
            parent.filter(|_| !span.is_local_root())
        };
        let parents = spans.iter().enumerate().map(parent_of).collect();
        Self { spans, parents }
    }

    /// Separates what can leave from what waits on; with `all`, nothing waits.
    pub(crate) fn take_apart(self, all: bool, was_sent: impl Fn(SpanId) -> bool) -> (Vec<Group>, Vec<EndedSpan>) {
        let tops = self.tops();
        let mut rest = Vec::new();
        // By the place of its topmost span, where a group is in the list; found when the first of its spans is.
        let mut groups: Vec<Group> = Vec::new();
        let mut places: Vec<Option<usize>> = vec![None; self.spans.len()];
        let fates: Vec<_> = self.spans.iter().map(|span| fate(span, all, &was_sent)).collect();
        for (span, (place, top)) in self.spans.into_iter().zip(tops) {
            let Some(fate) = fates[top] else {
                rest.push(span);
                continue;
            };
            let group = *places[top].get_or_insert_with(|| {
                groups.push(Group { spans: Vec::new(), fate });
                groups.len() - 1
            });
            let spans = &mut groups[group].spans;
            spans.push(span);
            if place == top {
                let last = spans.len() - 1;
                spans.swap(0, last);
            }
        }
        for group in &mut groups {
            group.spans[1..].sort_by_key(|span| span.start_time);
        }
        groups.sort_by_key(|group| group.spans[0].start_time);
        (groups, rest)
    }

    /// Takes out some spans; their children move up to the nearest ancestor that stays. What is left hangs together in
    /// as many trees as are returned, each with its root first.
    pub(crate) fn without(mut self, is_out: impl Fn(&EndedSpan) -> bool) -> Vec<Vec<EndedSpan>> {
        let out: Vec<_> = self.spans.iter().map(is_out).collect();
        if !out.contains(&true) {
            return vec![self.spans];
        }
        for place in 0..self.spans.len() {
            let mut parent = self.parents[place];
            let mut id = self.spans[place].parent_span_id;
            // Not more steps than there are spans: broken input may have circles.
            for _ in 0..self.spans.len() {
                let Some(above) = parent.filter(|above| out[*above]) else { break };
                id = self.spans[above].parent_span_id;
                parent = self.parents[above];
            }
            if !out[place] {
                self.spans[place].set_parent(id);
            }
        }
        let kept = self.spans.into_iter().zip(out).filter(|(_, out)| !out).map(|(span, _)| span).collect();
        let (groups, _) = Self::new(kept).take_apart(true, |_| false);
        groups.into_iter().map(|group| group.spans).collect()
    }

    /// Cuts a tree, whose first span is its root, into parts of at most `max` spans and about as many bytes: the root
    /// with those nearest to it, and each subtree that is left as a part of its own, cut again if need be.
    pub(crate) fn split(self, max: usize, max_bytes: usize) -> Vec<Vec<EndedSpan>> {
        let sizes: Vec<_> = self.spans.iter().map(EndedSpan::size).collect();
        if self.spans.len() <= max && sizes.iter().sum::<usize>() <= max_bytes {
            return vec![self.spans];
        }
        let children = self.children();
        let mut part_of: Vec<Option<usize>> = vec![None; self.spans.len()];
        let mut parts: Vec<Vec<EndedSpan>> = Vec::new();
        // After the tree come the circles, which no root leads to.
        let mut roots: VecDeque<_> = (0..self.spans.len()).collect();
        while let Some(root) = roots.pop_front() {
            if part_of[root].is_some() {
                continue;
            }
            let mut near = VecDeque::from([root]);
            let (mut size, mut bytes) = (0, 0);
            while let Some(place) = near.pop_front() {
                if part_of[place].is_some() {
                    continue;
                }
                // A root always fits: what is too large alone is trimmed elsewhere.
                if size == max || (size > 0 && bytes + sizes[place] > max_bytes) {
                    roots.push_front(place);
                    continue;
                }
                bytes += sizes[place];
                part_of[place] = Some(parts.len());
                size += 1;
                near.extend(&children[place]);
            }
            parts.push(Vec::with_capacity(size));
        }
        // Spans come in order of start within a part, so the root of a part may have to be moved to its front.
        for (span, part) in self.spans.into_iter().zip(part_of) {
            parts[part.unwrap_or(0)].push(span);
        }
        parts.into_iter().map(root_first).collect()
    }

    /// For each span its place and the place of its topmost ancestor that is here.
    fn tops(&self) -> Vec<(usize, usize)> {
        let mut tops: Vec<Option<usize>> = vec![None; self.spans.len()];
        let mut path = Vec::new();
        for start in 0..self.spans.len() {
            let mut place = start;
            let top = loop {
                if let Some(top) = tops[place] {
                    break top;
                }
                path.push(place);
                match self.parents[place] {
                    // A circle of parents, which only broken input has, ends after one round.
                    Some(parent) if path.len() <= self.spans.len() => place = parent,
                    _ => break place,
                }
            };
            for place in path.drain(..) {
                tops[place] = Some(top);
            }
        }
        tops.into_iter().enumerate().map(|(place, top)| (place, top.unwrap_or(place))).collect()
    }

    fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.spans.len()];
        for (place, parent) in self.parents.iter().enumerate().skip(1) {
            // What hangs from nothing here hangs from the root: it must not be lost.
            children[parent.unwrap_or(0)].push(place);
        }
        children
    }
}

/// What happens to a group with this topmost span; `None`: it waits on.
fn fate(top: &EndedSpan, all: bool, was_sent: impl Fn(SpanId) -> bool) -> Option<Fate> {
    if top.is_local_root() {
        Some(Fate::Whole)
    } else if was_sent(top.parent_span_id) {
        Some(Fate::Late)
    } else {
        all.then_some(Fate::Early)
    }
}

/// Moves the span whose parent is not among the others to the front.
fn root_first(mut spans: Vec<EndedSpan>) -> Vec<EndedSpan> {
    let ids: HashSet<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
    if let Some(root) = spans.iter().position(|span| span.is_local_root() || !ids.contains(&span.parent_span_id)) {
        spans[..=root].rotate_right(1);
    }
    spans
}
