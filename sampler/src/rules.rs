//! Rules for sampling. The guide lists them on its page `sampling`, section "Rules".

use opentelemetry::{Value, trace::SpanKind};
use opentelemetry_sentry_protocol::{InvalidSampleRate, SampleRate};
use opentelemetry_sentry_semantics::{Attributes, sanitize_url, semconv};
use wildmatch::WildMatch;

use crate::{choice::Choice, context::SamplingContext};

/// What to do with a local root that meets all conditions.
///
/// The first rule of a sampler that matches decides. A trace that came in with a decision keeps it, so that it is whole
/// or absent in all services, unless the rule is marked with [`overriding_parents`](Self::overriding_parents). A rule
/// without conditions matches every local root.
///
/// ```
/// use opentelemetry_sentry_sampler::{Rule, SentrySampler};
///
/// let sampler = SentrySampler::builder()
///     .with_rule(Rule::health_checks())
///     .with_rule(Rule::sample(0.5).with_path_prefix("/api/"))
///     .with_rule(Rule::inherit().with_op("queue.process"))
///     .with_rate(0.1)
///     .build()?;
/// # Ok::<(), opentelemetry_sentry_sampler::SamplerBuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Rule {
    conditions: Vec<Condition>,
    action: Action,
    overrides_parents: bool,
}

/// What a rule does. The rate is validated when the sampler is built.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Sample(f64),
    Inherit,
}

#[derive(Clone, Debug)]
enum Condition {
    Attribute(String, Value),
    HealthCheck,
    Kind(SpanKind),
    Name(WildMatch),
    Op(WildMatch),
    PathPrefix(String),
}

impl Rule {
    /// Samples at this rate, in `0.0..=1.0`.
    pub const fn sample(rate: f64) -> Self {
        Self::of(Action::Sample(rate))
    }

    /// Never samples.
    pub const fn never() -> Self {
        Self::sample(0.0)
    }

    /// Keeps the decision that came in, in spite of the rules that follow, the function and
    /// [`with_parent_based(false)`](crate::SentrySamplerBuilder::with_parent_based). If none came in, the next rule that
    /// matches decides.
    pub const fn inherit() -> Self {
        Self::of(Action::Inherit)
    }

    const fn of(action: Action) -> Self {
        Self { conditions: Vec::new(), action, overrides_parents: false }
    }

    /// Makes the rule decide also about traces that came in with a decision. Such a trace can lose a part or consist of
    /// a part. Without effect on [`inherit`](Self::inherit).
    ///
    /// ```
    /// # use opentelemetry_sentry_sampler::Rule;
    /// let rule = Rule::sample(1.0).with_path_prefix("/checkout").overriding_parents();
    /// ```
    pub const fn overriding_parents(mut self) -> Self {
        self.overrides_parents = true;
        self
    }

    /// Never samples health checks, readiness probes and scrapes: requests for `/health`, `/healthz`, `/livez`,
    /// `/readyz` and `/metrics`, and all requests of the probes of Kubernetes and AWS.
    pub fn health_checks() -> Self {
        Self::never().with(Condition::HealthCheck)
    }

    /// Adds a condition: the name of the transaction, such as `GET /users/:id`, matches this pattern. `*` matches any text,
    /// `?` any one character. Defaults to any name.
    pub fn with_name(self, pattern: &str) -> Self {
        self.with(Condition::Name(WildMatch::new(pattern)))
    }

    /// Adds a condition: the op, such as `http.server`, matches this pattern. `*` matches any text, `?` any one character.
    /// Defaults to any op, or none.
    pub fn with_op(self, pattern: &str) -> Self {
        self.with(Condition::Op(WildMatch::new(pattern)))
    }

    /// Adds a condition: the span has this kind. Defaults to any kind.
    pub fn with_kind(self, kind: SpanKind) -> Self {
        self.with(Condition::Kind(kind))
    }

    /// Adds a condition: an attribute has exactly this value (the number 200 does not equal the text `200`). Defaults to
    /// any attributes.
    pub fn with_attribute(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.with(Condition::Attribute(key.into(), value.into()))
    }

    /// Adds a condition: the path of the request begins with this text. Defaults to any path, or none.
    pub fn with_path_prefix(self, prefix: impl Into<String>) -> Self {
        self.with(Condition::PathPrefix(prefix.into()))
    }

    fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Validates the rate.
    pub(crate) fn check(&self) -> Result<(), InvalidSampleRate> {
        match self.action {
            Action::Sample(rate) => SampleRate::try_from(rate).map(drop),
            Action::Inherit => Ok(()),
        }
    }

    /// What it decides about this local root; `None` leaves it to the next rule.
    pub(crate) fn decide(
        &self,
        context: &SamplingContext<'_>,
        parent_sampled: Option<bool>,
        parent_based: bool,
    ) -> Option<Choice> {
        let choice = match (self.action, parent_sampled) {
            (Action::Inherit, sampled) => Choice::Inherit(sampled?),
            (Action::Sample(_), Some(_)) if parent_based && !self.overrides_parents => return None,
            // `build` has rejected invalid rates, so the fallback is never used.
            (Action::Sample(rate), _) => Choice::Apply(SampleRate::try_from(rate).unwrap_or(SampleRate::NONE)),
        };
        self.conditions.iter().all(|condition| condition.matches(context)).then_some(choice)
    }
}

impl Condition {
    fn matches(&self, context: &SamplingContext<'_>) -> bool {
        let attributes = Attributes::new(context.attributes);
        match self {
            Self::Attribute(key, value) => attributes.get(key) == Some(value),
            Self::HealthCheck => is_health_check(attributes),
            Self::Kind(kind) => context.kind == kind,
            Self::Name(pattern) => pattern.matches(&context.name),
            Self::Op(pattern) => context.op.as_ref().is_some_and(|op| pattern.matches(op)),
            Self::PathPrefix(prefix) => path(attributes).is_some_and(|path| path.starts_with(prefix)),
        }
    }
}

/// The paths that health checks, readiness probes and scrapers request.
const HEALTH_PATHS: [&str; 5] = ["/health", "/healthz", "/livez", "/readyz", "/metrics"];

/// The beginnings of the user agents of probes.
const PROBES: [&str; 2] = ["kube-probe/", "ELB-HealthChecker/"];

fn is_health_check(attributes: Attributes<'_>) -> bool {
    let agent = attributes.first_text([semconv::USER_AGENT_ORIGINAL, semconv::HTTP_USER_AGENT]).unwrap_or_default();
    let is_path = |path: String| HEALTH_PATHS.contains(&path.trim_end_matches('/'));
    PROBES.iter().any(|probe| agent.starts_with(probe)) || path(attributes).is_some_and(is_path)
}

/// The path of a request, without its query.
fn path(attributes: Attributes<'_>) -> Option<String> {
    let path = attributes.first_text([semconv::URL_PATH, semconv::HTTP_TARGET]);
    if let Some(path) = path.or_else(|| attributes.text(semconv::HTTP_ROUTE)) {
        return Some(sanitize_url(&path).into_owned());
    }
    let url = attributes.first_text([semconv::URL_FULL, semconv::HTTP_URL])?;
    let url = sanitize_url(&url).into_owned();
    let (_, rest) = url.split_once("://")?;
    Some(rest.find('/').map_or_else(|| "/".to_owned(), |start| rest[start..].to_owned()))
}
