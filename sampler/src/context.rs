//! The argument of a sampling function.

use std::borrow::Cow;

use opentelemetry::{
    KeyValue,
    trace::{Link, SpanKind},
};

/// A local root about which a sampling function decides.
///
/// It contains what is known when the span starts. With `tracing`, these are the fields that were recorded before the span
/// was first entered.
///
/// ```
/// use opentelemetry_sentry_sampler::{SamplingContext, SentrySampler};
///
/// let sampler = SentrySampler::function(|context: &SamplingContext<'_>| {
///     if context.name.contains("/health") { 0.0 } else { context.inherit_or_sample_with(0.1) }
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SamplingContext<'a> {
    /// The name of the transaction, such as `GET /users/:id`.
    pub name: Cow<'a, str>,
    /// The op of the transaction, such as `http.server`; `None` if the attributes do not determine one.
    pub op: Option<Cow<'a, str>>,
    /// The kind of the span.
    pub kind: &'a SpanKind,
    /// The attributes of the span so far.
    pub attributes: &'a [KeyValue],
    /// The links of the span.
    pub links: &'a [Link],
    /// The decision of the calling service; `None` if it made none, or if the trace begins here.
    pub parent_sampled: Option<bool>,
    /// The rate that was applied where the trace began, in `0.0..=1.0`, if it is known.
    pub parent_sample_rate: Option<f64>,
}

impl SamplingContext<'_> {
    /// The rate that gives this trace the same decision as upstream, or `fallback` if the trace begins here.
    ///
    /// It is the parent's rate; if that is not known, 1 or 0 for the parent's decision; otherwise `fallback`.
    #[must_use]
    pub fn inherit_or_sample_with(&self, fallback: f64) -> f64 {
        let decided = || self.parent_sampled.map(|sampled| if sampled { 1.0 } else { 0.0 });
        self.parent_sample_rate.or_else(decided).unwrap_or(fallback)
    }
}
