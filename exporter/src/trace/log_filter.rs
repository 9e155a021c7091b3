//! Which log records does the application ignore?

use super::line::SeverityNumber;

/// Matches log records that are not sent. A record matches if it meets all conditions of the filter.
///
/// A filter without conditions matches nothing. A text converts to a filter for [a target](Self::with_target).
///
/// ```
/// use opentelemetry_sentry_exporter::{LogFilter, SentryExporter};
///
/// let exporter = SentryExporter::builder()
///     .with_ignore_logs([
///         LogFilter::new().with_level_below("info"),
///         LogFilter::new().with_target("hyper").with_level_below("error"),
///         LogFilter::from("sqlx::query"),
///     ])
///     .build()?;
/// # Ok::<(), opentelemetry_sentry_exporter::ExporterBuildError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct LogFilter {
    target: Option<String>,
    below: Option<SeverityNumber>,
}

impl LogFilter {
    /// A filter without conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Matches records of this target and of the modules below it: `hyper` matches `hyper::client`, and not `hyperion`. An
    /// empty text matches no record.
    pub fn with_target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Matches records below this level: `trace`, `debug`, `info`, `warn`, `error` or `fatal`. Another text matches no record.
    pub fn with_level_below(mut self, level: &str) -> Self {
        self.below = Some(SeverityNumber::of_text(level).unwrap_or(SeverityNumber::LOWEST));
        self
    }

    fn matches(&self, severity: SeverityNumber, target: &str) -> bool {
        let is_below = self.below.is_none_or(|below| severity < below);
        let is_target = self.target.as_deref().is_none_or(|module| is_within(target, module));
        (self.below.is_some() || self.target.is_some()) && is_below && is_target
    }
}

impl From<&str> for LogFilter {
    fn from(target: &str) -> Self {
        Self::new().with_target(target)
    }
}

/// Whether a target is this module, or below it.
fn is_within(target: &str, module: &str) -> bool {
    let rest = target.strip_prefix(module).filter(|_| !module.is_empty());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A list of filters. A record is ignored if any of them matches.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFilters(Vec<LogFilter>);

impl LogFilters {
    pub(crate) fn add(&mut self, filters: impl IntoIterator<Item = impl Into<LogFilter>>) {
        self.0.extend(filters.into_iter().map(Into::into));
    }

    pub(crate) fn ignore(&self, severity: SeverityNumber, target: &str) -> bool {
        self.0.iter().any(|filter| filter.matches(severity, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_matches_if_all_its_conditions_hold() {
        let severity = |text| SeverityNumber::of_text(text).unwrap();
        let below_warn = || LogFilter::new().with_level_below("warn");
        for (filter, level, target, expected) in [
            (LogFilter::new(), "trace", "hyper", false),
            (LogFilter::from("hyper"), "fatal", "hyper", true),
            (LogFilter::from("hyper"), "fatal", "hyper::client", true),
            (LogFilter::from("hyper"), "fatal", "hyperion", false),
            (LogFilter::from(""), "fatal", "::x", false),
            (below_warn(), "info", "", true),
            (below_warn(), "warn", "", false),
            (below_warn().with_target("h2"), "info", "h2::codec", true),
            (below_warn().with_target("h2"), "info", "shop", false),
            (below_warn().with_target("h2"), "error", "h2", false),
            (LogFilter::new().with_level_below("loud"), "trace", "", false),
        ] {
            let mut filters = LogFilters::default();
            filters.add([filter.clone()]);
            assert_eq!(filters.ignore(severity(level), target), expected, "{filter:?} {level} {target}");
        }
    }
}
