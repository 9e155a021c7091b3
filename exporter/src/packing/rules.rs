//! The application's rules for what is sent.

use std::sync::Arc;

use opentelemetry::{KeyValue, trace::SpanKind};
use opentelemetry_sentry_protocol::{__shared::Streaming, DecisionLog};

use super::{
    filter::{BrokenPattern, Filters},
    hook::Hooks,
    scrub::Scrubber,
};
use crate::convert::Exception;

/// The application's rules for what is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) scrubber: Scrubber,
    pub(crate) hooks: Hooks,
    pub(crate) ignored_spans: Filters,
    pub(crate) ignored_transactions: Filters,
    /// Texts, each a part of the title of an error event that is not sent.
    pub(crate) ignored_errors: Vec<String>,
    pub(crate) exceptions_as_errors: bool,
    /// Whether spans of generative models stay in their transaction.
    pub(crate) keeps_gen_ai: bool,
    /// Whether prompts and answers of generative models are removed.
    pub(crate) removes_prompts: bool,
    pub(crate) logs_from_span_events: bool,
}

impl Rules {
    /// The first invalid pattern of a filter, if there is one.
    pub(crate) fn invalid_pattern(&self) -> Option<BrokenPattern> {
        [&self.ignored_spans, &self.ignored_transactions].into_iter().find_map(Filters::broken)
    }

    /// Tells sampler and propagator that spans are streamed, and which of them are ignored. They must know it when a span
    /// starts: in a stream its children leave before it ends.
    pub(crate) fn share_ignored(&self, decisions: &DecisionLog) -> Option<Arc<Filters>> {
        if self.ignored_spans.is_empty() {
            decisions.stream(Streaming::default());
            return None;
        }
        let ignored = Arc::new(self.ignored_spans.clone());
        let shared = Arc::clone(&ignored);
        let ignores = move |name: &str, kind: &SpanKind, all: &[KeyValue]| shared.match_start(name, kind, all);
        decisions.stream(Streaming::ignoring(ignores));
        Some(ignored)
    }

    /// A setting that streamed spans cannot obey, and the one that takes its place.
    pub(crate) fn for_transactions_only(&self) -> Option<(&'static str, &'static str)> {
        if self.hooks.has_transaction() {
            Some(("with_before_send_transaction", "with_before_send_span"))
        } else if !self.ignored_transactions.is_empty() {
            Some(("with_ignore_transactions", "with_ignore_spans"))
        } else {
            None
        }
    }

    pub(super) fn ignores(&self, exception: &Exception<'_>) -> bool {
        if self.ignored_errors.is_empty() {
            return false;
        }
        let title = exception.title();
        self.ignored_errors.iter().any(|part| !part.is_empty() && title.contains(part.as_str()))
    }
}
