//! A trace as Sentry's JSON: pure functions from `SpanData`. The rules are in the guide, page `mapping`.
//!
//! Op, name and source come from `opentelemetry_sentry_semantics`. The types borrow the spans and are serialised straight
//! into the envelope, so no attribute is copied.

mod backtrace;
mod data;
mod exception;
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

pub(crate) use self::{
    exception::{ErrorEvent, Exceptions, Surroundings},
    sender::{SDK_NAME, SDK_VERSION, Sdk, Sender},
    status::STATUSES,
    tags::{InvalidTag, TagRules, tag_key, tag_value},
    transaction::{Transaction, name_of},
};
