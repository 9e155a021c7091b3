//! The spans of one trace that wait.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use foldhash::fast::RandomState;
use opentelemetry::SpanId;
use web_time::Instant;

use super::{
    ended::{EndedSpan, push_before},
    trace::Fate,
};

/// Spans of one trace that wait for their local root, or for the grace after it.
#[derive(Debug)]
pub(super) struct Waiting {
    /// When the first of them arrived. The longest wait is counted from here.
    pub(super) since: Instant,
    /// When some of them leave. The assembler needs it to find its own entry for this trace.
    pub(super) due: Instant,
    /// Local roots that have ended, and late spans. They leave at `due` with their descendants.
    ready: Vec<EndedSpan>,
    /// Those that arrived since spans last left, in the order in which they ended. Most traces leave whole, so most
    /// spans never enter `below`, which costs an allocation for each parent.
    fresh: Vec<EndedSpan>,
    /// The spans that stayed when others left, by the id of their parent. A root finds its descendants here without a
    /// look at the spans of other roots. Without it, each small root of a trace with 70,000 waiting spans would walk
    /// over all of them.
    below: HashMap<SpanId, Vec<EndedSpan>, RandomState>,
    /// The number of all spans. It is kept up to date, because the sum over `below` would be too slow.
    count: usize,
}

/// Spans that leave together. If they have a common ancestor, it is the first.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spans: Vec<EndedSpan>,
    pub(super) fate: Fate,
}

impl Waiting {
    pub(super) fn new(since: Instant, due: Instant) -> Self {
        Self { since, due, ready: Vec::new(), fresh: Vec::new(), below: HashMap::default(), count: 0 }
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds a local root, or a span whose parent was sent. Most traces have one of these.
    pub(super) fn add_ready(&mut self, span: EndedSpan) {
        self.count += 1;
        push_before(0, &mut self.ready, span);
    }

    /// Adds a span that waits for its parent, before others.
    pub(super) fn add_below(&mut self, span: EndedSpan, following: usize) {
        self.count += 1;
        push_before(following, &mut self.fresh, span);
    }

    /// Removes the ready spans with all their descendants. Each local root is a group. All late spans are one group:
    /// one transaction for each would only cost more requests.
    pub(super) fn take_ready(&mut self) -> Vec<Group> {
        let (roots, late): (Vec<_>, Vec<_>) = mem::take(&mut self.ready).into_iter().partition(|s| s.is_local_root());
        let mut fresh = ByParent::new(mem::take(&mut self.fresh));
        let mut tree = |root| Self::tree(root, &mut fresh, &mut self.below);
        let mut groups: Vec<_> = roots.into_iter().map(|root| Group { spans: tree(root), fate: Fate::Whole }).collect();
        let late: Vec<_> = late.into_iter().map(tree).collect();
        groups.extend(Group::of(late, Fate::Late));
        self.keep(fresh.into_rest());
        self.leaves(groups)
    }

    /// Removes all spans: the ready ones, and then those whose parent is still open or was never seen. The latter form
    /// one group for the descendants of each local root that is known to be open, and one group for all others.
    pub(super) fn take_all(&mut self, open_roots: &[SpanId]) -> Vec<Group> {
        let mut groups = self.take_ready();
        let fresh = mem::take(&mut self.fresh);
        self.keep(fresh);
        let mut early = Vec::new();
        if open_roots.len() > 1 {
            early.extend(open_roots.iter().filter_map(|root| Group::of([self.take_below(*root)], Fate::Early)));
        }
        let mut rest: Vec<_> = self.missing_parents().into_iter().map(|parent| self.take_below(parent)).collect();
        // The rest are circles of parents, which only a broken id generator makes.
        rest.push(self.below.drain().flat_map(|(_, spans)| spans).collect());
        early.extend(Group::of(rest, Fate::Early));
        groups.extend(self.leaves(early));
        groups
    }

    /// All spans, in no particular order.
    pub(super) fn into_spans(self) -> impl Iterator<Item = EndedSpan> {
        self.ready.into_iter().chain(self.fresh).chain(self.below.into_values().flatten())
    }

    /// The parents of waiting spans, without those that wait here themselves.
    fn missing_parents(&self) -> Vec<SpanId> {
        let here: HashSet<_, RandomState> =
            self.below.values().flatten().map(|span| span.span_context.span_id()).collect();
        self.below.keys().copied().filter(|parent| !here.contains(parent)).collect()
    }

    /// Puts spans into `below`.
    fn keep(&mut self, spans: impl IntoIterator<Item = EndedSpan>) {
        for span in spans {
            self.below.entry(span.parent_span_id).or_default().push(span);
        }
    }

    /// A span with all its descendants, which are removed from `fresh` and `below`.
    fn tree(
        root: EndedSpan,
        fresh: &mut ByParent,
        below: &mut HashMap<SpanId, Vec<EndedSpan>, RandomState>,
    ) -> Vec<EndedSpan> {
        let mut spans = Vec::with_capacity(1 + fresh.len());
        spans.push(root);
        let mut next = 0;
        while let Some(span) = spans.get(next) {
            let id = span.span_context.span_id();
            fresh.take_children(id, &mut spans);
            if let Some(children) = below.remove(&id) {
                spans.extend(children);
            }
            next += 1;
        }
        spans
    }

    /// Removes all descendants of a span. The child that started first is the first. Each list of children is removed
    /// when it is visited, so a circle of parents ends.
    fn take_below(&mut self, parent: SpanId) -> Vec<EndedSpan> {
        let mut spans = self.below.remove(&parent).unwrap_or_default();
        spans.sort_by_key(|span| span.start_time);
        let mut next = 0;
        while let Some(span) = spans.get(next) {
            if let Some(children) = self.below.remove(&span.span_context.span_id()) {
                spans.extend(children);
            }
            next += 1;
        }
        spans
    }

    /// Subtracts groups that leave from the count, and sorts them and their spans by start, because Sentry keeps
    /// the order in which spans are sent.
    fn leaves(&mut self, mut groups: Vec<Group>) -> Vec<Group> {
        for Group { spans, .. } in &mut groups {
            self.count -= spans.len();
            if let Some((_, others)) = spans.split_first_mut() {
                // A span is large, so places are sorted and each span is moved once.
                others.sort_by_cached_key(|span| span.start_time);
            }
        }
        groups.sort_by_key(|group| group.spans.first().map(|span| span.start_time));
        groups
    }
}

impl Group {
    /// Joins trees without a common ancestor. The root that started first becomes the transaction.
    fn of(trees: impl IntoIterator<Item = Vec<EndedSpan>>, fate: Fate) -> Option<Self> {
        let mut trees: Vec<_> = trees.into_iter().filter(|spans| !spans.is_empty()).collect();
        trees.sort_by_key(|spans| spans.first().map(|span| span.start_time));
        let spans = trees.into_iter().reduce(|mut all, spans| {
            all.extend(spans);
            all
        });
        Some(Self { spans: spans?, fate })
    }
}

/// Finds the children of a span in a list, without a list for each parent.
struct ByParent {
    /// `None` for those that were taken.
    spans: Vec<Option<EndedSpan>>,
    /// The parent of each span and its place in `spans`, sorted, so that children are found by binary search.
    places: Vec<([u8; 8], u32)>,
    /// How many spans were not taken, as a size for the vector of a tree.
    left: usize,
}

impl ByParent {
    fn new(spans: Vec<EndedSpan>) -> Self {
        let place = |(place, span): (usize, &EndedSpan)| (span.parent_span_id.to_bytes(), place as u32);
        let mut places: Vec<_> = spans.iter().enumerate().map(place).collect();
        places.sort_unstable();
        Self { left: spans.len(), spans: spans.into_iter().map(Some).collect(), places }
    }

    /// How many spans were not taken.
    const fn len(&self) -> usize {
        self.left
    }

    fn take_children(&mut self, parent: SpanId, to: &mut Vec<EndedSpan>) {
        let parent = parent.to_bytes();
        let start = self.places.partition_point(|(id, _)| *id < parent);
        for (_, place) in self.places[start..].iter().take_while(|(id, _)| *id == parent) {
            // If two spans have the same id, the first one gets the children of both.
            if let Some(span) = self.spans[*place as usize].take() {
                to.push(span);
                self.left -= 1;
            }
        }
    }

    fn into_rest(self) -> impl Iterator<Item = EndedSpan> {
        self.spans.into_iter().flatten()
    }
}
