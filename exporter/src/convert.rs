//! A trace as Sentry's JSON: pure functions from `SpanData`. The rules are in the guide, page `mapping`.
//!
//! Op, name and source come from `opentelemetry_sentry_semantics`. The types borrow the spans and are serialised straight
//! into the envelope, so no attribute is copied.

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
    event::transaction_name,
    exception::Exceptions,
    sender::{SDK_NAME, SDK_VERSION, Sdk, Sender},
    status::STATUSES,
    tags::{InvalidTag, TagRules, tag_key, tag_value},
    transaction::Transaction,
};
