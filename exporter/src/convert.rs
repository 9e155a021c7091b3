//! What does a span become in Sentry's JSON? Pure functions from `SpanData`. The rules are in the guide, page
//! `mapping`.
//!
//! Op, name and source come from `opentelemetry_sentry_semantics`. The types borrow the spans and are serialised
//! directly into the event, so no attribute is copied.
//!
//! | file | contains |
//! | --- | --- |
//! | `transaction`, `span` | a transaction event, and the spans in it |
//! | `error_event`, `exception`, `backtrace` | an error event, the exceptions of a trace, stack frames |
//! | `event`, `sender`, `resource` | the fields that all events have, and their contexts |
//! | `data`, `status`, `link`, `measurement`, `request`, `user`, `tags` | one field each |
//! | `streamed`, `fixed` | a span that leaves by itself, and what the application adds to each |
//! | `log`, `event_line`, `record_error`, `breadcrumb` | a log record; a span event as one; its exception; lines before an error |
//! | `metric` | what an instrument has measured |
//! | `check_in`, `monitor` | what a job of a cron monitor reports; the settings of the monitor |
//! | `view`, `value`, `number`, `ids`, `times` | spans, attribute values, ids and times for all of these |

mod backtrace;
mod breadcrumb;
mod check_in;
mod data;
mod error_event;
mod event;
mod event_line;
mod exception;
mod fixed;
mod ids;
mod link;
mod log;
mod measurement;
#[cfg(feature = "metrics")]
mod metric;
mod monitor;
mod number;
mod record_error;
mod request;
mod resource;
mod sender;
mod span;
mod status;
mod streamed;
mod tags;
mod times;
mod transaction;
mod user;
mod value;
mod view;

#[cfg(feature = "logs")]
pub(crate) use self::log::size_of_names;
#[cfg(feature = "metrics")]
pub(crate) use self::metric::{Metric, MetricItem, metric_name, other_unit, sentry_unit, size_of_attributes};
#[cfg(feature = "logs")]
pub(crate) use self::record_error::EXCEPTION_KEYS;
pub(crate) use self::{
    breadcrumb::Breadcrumb,
    check_in::{CheckIn, InvalidSlug, is_monitored},
    error_event::{EventContext, ExceptionEvent},
    event::transaction_name,
    event_line::line_of,
    exception::{Exception, Exceptions, MAX_VALUE, UNKNOWN_TYPE},
    fixed::{FixedAttributes, InvalidAttribute},
    ids::random_id,
    log::LogItem,
    record_error::RecordError,
    sender::{SDK_NAME, SDK_VERSION, Sdk, Sender},
    status::{STATUSES, http_status},
    streamed::{SegmentInfo, StreamedSpan, streamed_key},
    tags::{InvalidTag, TagRules, tag_key, tag_value},
    transaction::{Transaction, transaction_span},
};
