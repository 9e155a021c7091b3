//! How does a trace look to Sentry? Pure functions from `SpanData` to what is serialised.
//!
//! | file | rule |
//! | --- | --- |
//! | `head.rs` | the `trace` header of the envelope |
//! | `transaction.rs` | the root: top-level fields and contexts |
//! | `span.rs` | every other span |
//! | `status.rs` | OpenTelemetry status and status codes to Sentry's words |
//! | `data.rs` | attributes to `data` |
//! | `link.rs` | links to spans of other traces |
//! | `measurement.rs` | numbers from events, and web vitals |
//! | `user.rs`, `request.rs`, `tags.rs` | attributes to what Sentry searches and groups by |
//! | `resource.rs` | the resource to contexts |
//! | `exception.rs`, `backtrace.rs` | exceptions to error events |
//!
//! Op, name and source are decided in `opentelemetry_sentry_protocol::describe`.
//!
//! Nothing is copied on the way: the types borrow the spans and are serialised straight into the envelope.

mod backtrace;
mod data;
mod exception;
mod head;
mod link;
mod measurement;
mod request;
mod resource;
mod span;
mod status;
mod tags;
mod transaction;
mod user;

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_sdk::{Resource, trace::SpanData};
use opentelemetry_sentry_protocol::Service;

use self::resource::ResourceContexts;
pub(crate) use self::{
    exception::{ErrorEvent, Exceptions, Surroundings},
    head::Head,
    status::STATUSES,
    tags::{InvalidTag, TagRules, tag_key, tag_value},
    transaction::{Transaction, name_of},
};

/// Who sends: the same for all events.
#[derive(Debug)]
pub(crate) struct Sender {
    /// What was set, filled in from the resource.
    pub(crate) service: Service,
    pub(crate) server_name: Option<String>,
    pub(crate) tags: TagRules,
    pub(crate) resource: Resource,
    pub(crate) contexts: ResourceContexts,
}

impl Sender {
    pub(crate) fn new(service: Service, server_name: Option<String>, tags: TagRules) -> Self {
        let resource = Resource::builder_empty().build();
        let server_name = server_name.as_deref().and_then(tag_value).map(Into::into);
        Self { service, server_name, tags, resource, contexts: ResourceContexts::default() }
    }

    /// Takes in what is known of the process; what was set by hand stays.
    pub(crate) fn set_resource(&mut self, resource: Resource) {
        let text = |key| resource.get(&opentelemetry::Key::from_static_str(key)).map(|value| value.to_string());
        self.service = self.service.clone().or_from_resource(text);
        if self.server_name.is_none() {
            let name = text(opentelemetry_sentry_protocol::semconv::HOST_NAME);
            self.server_name = name.as_deref().and_then(tag_value).map(Into::into);
        }
        self.contexts = ResourceContexts::new(&resource);
        self.resource = resource;
    }
}

/// The last second that a date of four digits can tell.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// The times that the spans of a transaction may have.
///
/// Sentry moves an event that is older than a month or lies ahead of its clock to where it belongs, and refuses it if
/// any of its times then lies before 1970. So none is further than half a century from the end of the root, whatever
/// the clock did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    earliest: f64,
    latest: f64,
}

impl Times {
    pub(crate) fn around(root: &SpanData) -> Self {
        const HALF_A_CENTURY: f64 = 50.0 * 365.0 * 24.0 * 60.0 * 60.0;
        let end = seconds(root.end_time).max(seconds(root.start_time));
        Self { earliest: (end - HALF_A_CENTURY).max(0.0), latest: (end + HALF_A_CENTURY).min(LAST_SECOND) }
    }

    /// Start and end of a span in seconds since 1970, cut to microseconds. The end is never before the start: one such
    /// span makes Sentry refuse the transaction.
    pub(crate) fn of(self, span: &SpanData) -> (f64, f64) {
        let start = seconds(span.start_time).clamp(self.earliest, self.latest);
        (start, seconds(span.end_time).clamp(start, self.latest))
    }
}

/// Microseconds since 1970 are exact in an `f64` until 2255, so that the shortest text has at most six decimals. Sentry
/// refuses times before 1970 and after 9999.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // What does not fit is after 9999.
    let micros = since.as_secs().saturating_mul(1_000_000).saturating_add(since.subsec_micros().into());
    (micros as f64 / 1e6).min(LAST_SECOND)
}
