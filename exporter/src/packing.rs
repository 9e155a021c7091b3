//! How does a trace become envelopes? This room hides, filters, splits, converts and serialises it.
//!
//! | file, in the order of the walk | contains |
//! | --- | --- |
//! | `packer`, `errors`, `bucket` | the steps, in their order; those of exceptions and of streamed spans |
//! | `rules` | what the application sets for them |
//! | `scrub`, `prompts` | hides secrets; removes what generative models were asked and answered |
//! | `shape` | values as Sentry's pages read them |
//! | `filter` | spans and transactions that the application ignores |
//! | `hook` | functions of the application that change an event |
//! | `contain` | calls such a function, and survives its panic |
//! | `trim` | cuts a single span that is too large |
//! | `beside` | spans that leave beside their transaction |
//! | `check_ins` | what the jobs of cron monitors report |
//! | `envelope`, `container` | the bytes of an envelope; of one with streamed spans |
//! | `errors`, `trails` | error events; the log lines before them |
//! | `logs`, `metrics` | log items; metric items |
//! | `form`, `otlp` | what an OTLP exporter has written, in parts that Sentry accepts |
//! | `batch` | the logs or metrics that leave together |

mod batch;
mod beside;
mod bucket;
mod check_ins;
mod contain;
mod container;
mod envelope;
mod errors;
mod filter;
mod form;
mod hook;
mod logs;
#[cfg(feature = "metrics")]
mod metrics;
mod otlp;
mod packer;
mod prompts;
mod rules;
mod scrub;
mod shape;
mod trails;
mod trim;

#[cfg(feature = "testing")]
pub(crate) use self::beside::take_gen_ai;
#[cfg(feature = "metrics")]
pub use self::hook::MetricEvent;
pub(crate) use self::{
    batch::MAX_LOGS,
    beside::Part,
    envelope::Envelope,
    filter::{BrokenPattern, Filters},
    form::{OtlpForm, OtlpFormat, OtlpSignal},
    otlp::OtlpParts,
    packer::{Packed, Packer},
    rules::Rules,
};
pub use self::{
    filter::SpanFilter,
    hook::{ErrorEvent, LogEvent, SpanEvent, TransactionEvent},
};
