//! What sampler, exporter and propagator share if spans are streamed.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use opentelemetry::{KeyValue, SpanId, trace::SpanKind};

/// Returns whether a span that starts with this name, kind and attributes is ignored.
type Ignores = dyn Fn(&str, &SpanKind, &[KeyValue]) -> bool + Send + Sync;

/// What sampler, exporter and propagator share if spans are streamed. The exporter sets it, before any span starts.
///
/// In a stream, spans leave before their parents. So what is ignored must be known when a span starts: by the sampler, which
/// drops the tree below a local root, and by the propagator, because the next service must not hang on a span that never
/// arrives.
#[derive(Default)]
pub struct Streaming {
    ignores: Option<Box<Ignores>>,
    /// For each ignored span the ancestor that is sent. It has a fixed size: a newer span replaces an older one in the same
    /// slot, whose headers then name the ignored span. Entries need not be removed, so they cannot leak.
    ancestors: Box<[Slot]>,
}

type Slot = Mutex<Option<(SpanId, SpanId)>>;

/// The number of slots: many more than spans that are ignored and open at a time. They take 128 KiB.
const SLOTS: usize = 4096;

impl Streaming {
    /// With the application's filters.
    #[must_use]
    pub fn ignoring(ignores: impl Fn(&str, &SpanKind, &[KeyValue]) -> bool + Send + Sync + 'static) -> Self {
        Self { ignores: Some(Box::new(ignores)), ancestors: (0..SLOTS).map(|_| Slot::default()).collect() }
    }

    /// Whether there are filters.
    #[must_use]
    pub fn has_filters(&self) -> bool {
        self.ignores.is_some()
    }

    /// Whether a span that starts like this is ignored.
    #[must_use]
    pub fn ignores(&self, name: &str, kind: &SpanKind, attributes: &[KeyValue]) -> bool {
        self.ignores.as_ref().is_some_and(|ignores| ignores(name, kind, attributes))
    }

    /// Notes the ancestor that is sent in the place of an ignored span.
    pub fn note_ancestor(&self, ignored: SpanId, ancestor: SpanId) {
        if let Some(slot) = self.slot(ignored) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((ignored, ancestor));
        }
    }

    /// The ancestor that is sent in the place of this span, if it is ignored.
    #[must_use]
    pub fn ancestor(&self, span_id: SpanId) -> Option<SpanId> {
        let noted = *self.slot(span_id)?.lock().unwrap_or_else(PoisonError::into_inner);
        noted.filter(|(ignored, _)| *ignored == span_id).map(|(_, ancestor)| ancestor)
    }

    fn slot(&self, span_id: SpanId) -> Option<&Slot> {
        // Some generators count: multiplying by 2^64 divided by the golden ratio spreads neighbouring ids.
        let mixed = u64::from_be_bytes(span_id.to_bytes()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.ancestors.get((mixed >> 52) as usize % SLOTS)
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("has_filters", &self.has_filters()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_span_has_an_ancestor_until_another_takes_its_slot() {
        let id = |number: u64| SpanId::from_bytes(number.to_be_bytes());
        assert_eq!(Streaming::default().ancestor(id(1)), None);
        let streaming = Streaming::ignoring(|name, _, _| name == "noise");
        assert!(
            streaming.ignores("noise", &SpanKind::Internal, &[]) && !streaming.ignores("", &SpanKind::Internal, &[])
        );
        streaming.note_ancestor(id(2), id(1));
        assert_eq!([1, 2].map(|number| streaming.ancestor(id(number))), [None, Some(id(1))]);
        let place = |number| std::ptr::from_ref(streaming.slot(id(number)).unwrap());
        let same_slot = (3..).find(|number| place(*number) == place(2)).unwrap();
        streaming.note_ancestor(id(same_slot), id(7));
        assert_eq!([2, same_slot].map(|number| streaming.ancestor(id(number))), [None, Some(id(7))]);
    }
}
