//! The trace in environment variables. The rules are in the guide, page `headers`, section "Child processes".

use std::{collections::HashMap, env};

use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
};
use opentelemetry_sentry_protocol::{Baggage, SentryTrace};

use crate::propagator::SentryPropagator;

/// The variables, each with the header that it carries.
const VARIABLES: [(&str, &str); 2] = [("SENTRY_TRACE", SentryTrace::HEADER), ("SENTRY_BAGGAGE", Baggage::HEADER)];

impl SentryPropagator {
    /// The context that the parent process passed on in `SENTRY_TRACE` and `SENTRY_BAGGAGE`.
    ///
    /// Attach it for as long as the process works, or start the root span under it.
    ///
    /// ```
    /// use opentelemetry_sentry_propagator::SentryPropagator;
    ///
    /// let _guard = SentryPropagator::new().extract_from_env().attach();
    /// // … a cron job's work
    /// ```
    #[must_use]
    pub fn extract_from_env(&self) -> Context {
        self.extract_from(|name| env::var(name).ok())
    }

    /// The variables by which a child process continues the trace of this context.
    ///
    /// ```no_run
    /// use std::process::Command;
    /// use opentelemetry::Context;
    /// use opentelemetry_sentry_propagator::SentryPropagator;
    ///
    /// # let propagator = SentryPropagator::new();
    /// Command::new("nightly-job").envs(propagator.to_env(&Context::current())).spawn()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn to_env(&self, cx: &Context) -> Vec<(&'static str, String)> {
        let mut headers = HashMap::new();
        self.inject_context(cx, &mut headers);
        VARIABLES.into_iter().filter_map(|(name, header)| Some((name, headers.remove(header)?))).collect()
    }

    fn extract_from(&self, lookup: impl Fn(&str) -> Option<String>) -> Context {
        let headers = VARIABLES.into_iter().filter_map(|(name, header)| Some((header, lookup(name)?)));
        let switch = lookup("SENTRY_USE_ENVIRONMENT").unwrap_or_default().trim().to_ascii_lowercase();
        let is_off = ["false", "f", "n", "no", "off", "0"].contains(&switch.as_str());
        let headers = if is_off { HashMap::new() } else { headers.collect() };
        self.extract_with_context(&Context::new(), &Variables(headers))
    }
}

struct Variables(HashMap<&'static str, String>);

impl Extractor for Variables {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sentry_protocol::RemoteTrace;

    use super::*;

    const TRACE: &str = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1";

    fn process(variables: &[(&str, &str)]) -> Context {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        SentryPropagator::new().extract_from(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn a_child_process_continues_the_trace() {
        let parent =
            process(&[("SENTRY_TRACE", TRACE), ("SENTRY_BAGGAGE", "sentry-sample_rand=0.5,sentry-release=a,b=1")]);
        let variables = SentryPropagator::new().to_env(&parent);
        let given = [("SENTRY_TRACE", TRACE), ("SENTRY_BAGGAGE", "sentry-sample_rand=0.5,sentry-release=a,b=1")];
        assert_eq!(variables, given.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn the_variables_can_be_switched_off() {
        for switch in ["false", " NO ", "0", "off"] {
            let cx = process(&[("SENTRY_TRACE", TRACE), ("SENTRY_USE_ENVIRONMENT", switch)]);
            assert!(!cx.span().span_context().is_valid(), "{switch}");
            assert!(RemoteTrace::from_context(&cx).is_some());
        }
        let cx = process(&[("SENTRY_TRACE", TRACE), ("SENTRY_USE_ENVIRONMENT", "true")]);
        assert!(cx.span().span_context().is_valid());
    }
}
