//! What the attributes of a span mean to Sentry: op, name, source, and what is a secret.
//!
//! **Should you use this crate?** Probably not directly: `opentelemetry-sentry` has all of it as its module
//! `semantics`. Take it alone to name spans as Sentry does.
//!
//! ```
//! use opentelemetry::{KeyValue, trace::SpanKind};
//! use opentelemetry_sentry_semantics::{Source, describe};
//!
//! let attributes = [KeyValue::new("http.request.method", "GET"), KeyValue::new("http.route", "/users/:id")];
//! let description = describe("HTTP", &SpanKind::Server, &attributes);
//! assert_eq!(description.op.as_deref(), Some("http.server"));
//! assert_eq!(description.name, "GET /users/:id");
//! assert_eq!(description.source, Source::Route);
//! ```
//!
//! # What it does not do
//!
//! It reads attributes and writes nothing. It needs the OpenTelemetry API and nothing else.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod describe;
mod keys;
mod secrets;
pub mod semconv;
mod url;

pub use crate::{
    attributes::Attributes,
    describe::{Description, Source, cut, describe, shortened},
    keys::Keys,
    secrets::{is_sensitive, without_parameters, without_secrets},
    url::{host_of_url, sanitize_url},
};
