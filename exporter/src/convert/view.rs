//! A span, as conversion needs it.

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sentry_semantics::{Attributes, Description, semconv};

use crate::trace::EndedSpan;

/// A span, and its attributes for lookups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) data: &'a SpanData,
    pub(crate) attributes: Attributes<'a>,
    /// Whether some of its attributes are web vitals. Most spans have none, and need not be searched again.
    pub(crate) has_vitals: bool,
}

impl<'a> From<&'a EndedSpan> for Span<'a> {
    fn from(data: &'a EndedSpan) -> Self {
        let is_vital = |attribute: &KeyValue| attribute.key.as_str().starts_with(semconv::BROWSER_WEB_VITAL);
        let has_vitals = data.attributes.iter().any(is_vital);
        Self { data, attributes: data.attributes(), has_vitals }
    }
}

impl<'a> Span<'a> {
    pub(super) fn describe(self) -> Description<'a> {
        self.attributes.describe(&self.data.name, &self.data.span_kind)
    }

    /// Describes the root of these spans.
    pub(super) fn describe_root(self, below: &[Self]) -> Description<'a> {
        let below = below.iter().map(|span| span.attributes);
        self.attributes.describe_root(&self.data.name, &self.data.span_kind, below)
    }
}
