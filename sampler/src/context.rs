//! What a sampling function gets to see.

use std::borrow::Cow;

use opentelemetry::{
    KeyValue,
    trace::{Link, SpanKind},
};

/// A local root that is to be decided, as a sampling function sees it.
///
/// It holds what is known when the span starts: with `tracing`, the fields that were recorded before the span was
/// first entered.
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
    /// Its op, such as `http.server`, if it can be told.
    pub op: Option<Cow<'a, str>>,
    /// The kind of the span.
    pub kind: &'a SpanKind,
    /// The attributes of the span so far.
    pub attributes: &'a [KeyValue],
    /// The links of the span.
    pub links: &'a [Link],
    /// The decision of the service that called; `None` when it made none, or when the trace begins here.
    pub parent_sampled: Option<bool>,
    /// The rate that the head of the trace applied, in `0.0..=1.0`, if it said so.
    pub parent_sample_rate: Option<f64>,
}

impl SamplingContext<'_> {
    /// The rate with which this trace is treated as upstream treated it, or `fallback` if it begins here.
    ///
    /// It is the parent's rate, else 1 or 0 for its decision, else `fallback`.
    #[must_use]
    pub fn inherit_or_sample_with(&self, fallback: f64) -> f64 {
        let decided = || self.parent_sampled.map(|sampled| if sampled { 1.0 } else { 0.0 });
        self.parent_sample_rate.or_else(decided).unwrap_or(fallback)
    }
}
