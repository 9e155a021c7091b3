//! The page that a browser loads, with the trace that the browser continues.

use std::{env, error::Error, fs, sync::Arc};

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use opentelemetry::Context;
use opentelemetry_sentry::propagator::meta_tags;
use serde_json::json;

use crate::service;

const TEMPLATE: &str = include_str!("page.html");
/// The line of the template for the trace's `<meta>` elements.
const TRACE: &str = "<!-- trace -->";
/// The line of the template for Sentry's browser SDK.
const SDK: &str = "<!-- sdk -->";
const RELEASE: &str = "shop-web@2.4.1";

/// Cloning it is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    html: Arc<str>,
    /// Sentry's browser SDK as one script that sets `Sentry`.
    bundle: Option<Arc<str>>,
}

impl Page {
    /// Reads the bundle that `SHOP_BROWSER_BUNDLE` names. Without a bundle, the page has no browser SDK.
    pub(crate) fn from_env() -> Result<Self, Box<dyn Error>> {
        let Some(path) = env::var_os("SHOP_BROWSER_BUNDLE").filter(|path| !path.is_empty()) else {
            return Ok(Self { html: TEMPLATE.replace(SDK, "").into(), bundle: None });
        };
        let bundle = fs::read_to_string(&path).map_err(|error| format!("SHOP_BROWSER_BUNDLE: {error}"))?;
        let (dsn, environment) = (service::setting("SENTRY_DSN")?, service::setting("SENTRY_ENVIRONMENT")?);
        // The browser sends in the same form as the services.
        let lifecycle = service::setting("SENTRY_TRACE_LIFECYCLE").unwrap_or_else(|_| "static".to_owned());
        let sdk = sdk(&dsn, &environment, &lifecycle);
        Ok(Self { html: TEMPLATE.replace(SDK, &sdk).into(), bundle: Some(bundle.into()) })
    }

    /// The page with the trace of the active span, which the browser continues.
    pub(crate) fn with_trace(&self) -> String {
        self.html.replace(TRACE, &meta_tags(&Context::current()))
    }

    /// The page as a static file, without a trace.
    pub(crate) fn without_trace(&self) -> String {
        self.html.replace(TRACE, "")
    }

    pub(crate) fn bundle(&self) -> Response {
        match &self.bundle {
            Some(bundle) => ([(CONTENT_TYPE, "text/javascript")], bundle.to_string()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// The elements that load the SDK and set it up to send through our tunnel.
fn sdk(dsn: &str, environment: &str, lifecycle: &str) -> String {
    let options = json!({
        "dsn": dsn, "environment": environment, "release": RELEASE, "tunnel": "/tunnel",
        "tracesSampleRate": 1, "propagateTraceparent": true, "traceLifecycle": lifecycle,
    });
    let options = options.to_string().replace('<', "\\u003c"); // no `</script>` in a script
    let init = format!("Sentry.init({{ ...{options}, integrations: [Sentry.browserTracingIntegration()] }});");
    format!("<script src=\"/sentry.js\"></script>\n<script>{init}</script>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_cannot_end_the_script() {
        let sdk = sdk("http://public@localhost/1", "</script><script>alert(1)", "static");
        assert_eq!(sdk.matches("</script>").count(), 2, "{sdk}");
    }

    #[test]
    fn the_template_has_one_line_for_each_part() {
        assert_eq!([TRACE, SDK].map(|part| TEMPLATE.matches(part).count()), [1, 1]);
    }
}
