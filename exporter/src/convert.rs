//! How does a trace look to Sentry? Pure functions from `SpanData` to what is serialised.
//!
//! | file | rule |
//! | --- | --- |
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
//! Op, name and source are decided in `opentelemetry_sentry_semantics`.
//!
//! Nothing is copied on the way: the types borrow the spans and are serialised straight into the envelope.

mod backtrace;
mod data;
mod error_event;
mod event;
mod exception;
mod ids;
mod link;
mod measurement;
mod request;
mod resource;
mod sender;
mod span;
mod status;
mod tags;
mod times;
mod transaction;
mod user;
mod value;
mod view;

pub(crate) use self::{
    error_event::{ErrorEvent, EventContext},
    event::name_of,
    exception::Exceptions,
    sender::{SDK_NAME, SDK_VERSION, Sdk, Sender},
    status::STATUSES,
    tags::{InvalidTag, TagRules, tag_key, tag_value},
    transaction::Transaction,
};
