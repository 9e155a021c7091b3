//! Rules for sampling. The guide lists them on its page `sampling`, section "Rules".

use opentelemetry::{Value, trace::SpanKind};
use opentelemetry_sentry_protocol::{InvalidSampleRate, SampleRate};
use opentelemetry_sentry_semantics::{Attributes, sanitize_url, semconv};
use wildmatch::WildMatch;

use crate::SamplingContext;

/// What to do with the local roots that meet all its conditions.
///
/// Of the rules of a sampler the first that matches decides, also about traces that came in decided: whoever wants
/// those to be kept as they are says [`inherit`](Self::inherit). A rule without conditions matches everything.
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
}

/// What a rule does. The rate is checked when the sampler is built.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Sample(f64),
    Inherit,
}

/// What a rule that matched says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Saying {
    Sample(SampleRate),
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
        Self { conditions: Vec::new(), action: Action::Sample(rate) }
    }

    /// Samples nothing.
    pub const fn drop() -> Self {
        Self::sample(0.0)
    }

    /// Keeps the decision that came in; where none did, the sampler goes on as if there were no rules.
    pub const fn inherit() -> Self {
        Self { conditions: Vec::new(), action: Action::Inherit }
    }

    /// Samples no health checks, readiness probes and scrapes: requests for `/health`, `/healthz`, `/livez`,
    /// `/readyz` and `/metrics`, and whatever Kubernetes' and AWS's probes ask for.
    pub fn health_checks() -> Self {
        Self::drop().with(Condition::HealthCheck)
    }

    /// Matches the name of the transaction, such as `GET /users/:id`; `*` stands for any text, `?` for one character.
    pub fn with_name(self, pattern: &str) -> Self {
        self.with(Condition::Name(WildMatch::new(pattern)))
    }

    /// Matches the op, such as `http.server`; `*` stands for any text, `?` for one character.
    pub fn with_op(self, pattern: &str) -> Self {
        self.with(Condition::Op(WildMatch::new(pattern)))
    }

    /// Matches the kind of the span.
    pub fn with_kind(self, kind: SpanKind) -> Self {
        self.with(Condition::Kind(kind))
    }

    /// Matches an attribute with exactly this value: the number 200 is not the text `200`.
    pub fn with_attribute(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.with(Condition::Attribute(key.into(), value.into()))
    }

    /// Matches the beginning of the path of a request.
    pub fn with_path_prefix(self, prefix: impl Into<String>) -> Self {
        self.with(Condition::PathPrefix(prefix.into()))
    }

    fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Checks the rate.
    pub(crate) fn check(&self) -> Result<(), InvalidSampleRate> {
        match self.action {
            Action::Sample(rate) => SampleRate::try_from(rate).map(drop),
            Action::Inherit => Ok(()),
        }
    }

    /// What the rule says about this root, if it matches.
    pub(crate) fn apply(&self, context: &SamplingContext<'_>) -> Option<Saying> {
        let matches = self.conditions.iter().all(|condition| condition.matches(context));
        matches.then_some(())?;
        Some(match self.action {
            // An invalid rate was refused when the sampler was built.
            Action::Sample(rate) => Saying::Sample(SampleRate::try_from(rate).unwrap_or(SampleRate::NONE)),
            Action::Inherit => Saying::Inherit,
        })
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

/// What probes ask for.
const HEALTH_PATHS: [&str; 5] = ["/health", "/healthz", "/livez", "/readyz", "/metrics"];

/// What probes call themselves.
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
