//! How a trace is decided. The rules are in the guide, page `sampling`, section "Who decides".

use opentelemetry_sentry_protocol::SampleRate;
use opentelemetry_sentry_semantics::{Attributes, semconv};

use crate::{
    choice::Choice,
    context::SamplingContext,
    function::{Function, Running},
    rules::Rule,
};

/// How traces are decided, except for what can be changed at run time.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) function: Option<Function>,
    pub(crate) parent_based: bool,
    /// Whether `HEAD` and `OPTIONS` requests are sampled like any other request.
    pub(crate) probes: bool,
}

impl Policy {
    /// Chooses; `context` is called only if rules or a function need it, because it describes the span.
    pub(crate) fn choose<'a>(
        &self,
        rate: Option<SampleRate>,
        parent_sampled: Option<bool>,
        context: impl FnOnce() -> SamplingContext<'a>,
    ) -> Choice {
        // The application's function started this span: calling the function again would never end.
        if Running::is_now() {
            return Choice::PassOn;
        }
        if !self.rules.is_empty() || self.function.is_some() {
            let context = context();
            let decide = |rule: &Rule| rule.decide(&context, parent_sampled, self.parent_based);
            if let Some(choice) = self.rules.iter().find_map(decide) {
                return choice;
            }
            if let Some(function) = &self.function {
                return function.call(&context).map_or(Choice::Refuse, Choice::Apply);
            }
        }
        match (rate, parent_sampled) {
            (None, _) => Choice::PassOn,
            (Some(_), Some(sampled)) if self.parent_based => Choice::Inherit(sampled),
            (Some(rate), _) => Choice::Apply(rate),
        }
    }
}

/// Whether it is a request without effect, which is rarely worth a trace.
pub(crate) fn is_probe(attributes: Attributes<'_>) -> bool {
    let method = attributes.first_text([semconv::HTTP_REQUEST_METHOD, semconv::HTTP_METHOD]);
    method.is_some_and(|method| method.eq_ignore_ascii_case("HEAD") || method.eq_ignore_ascii_case("OPTIONS"))
}
