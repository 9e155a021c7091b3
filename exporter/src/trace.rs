//! Which ended spans leave together, and when? This room collects the spans of a trace until they can leave.
//!
//! ```text
//! EndedSpan ─> Assembler ─┬─> Waiting (until the local root has ended) ─> Trace ─> packing, which calls split
//!                         └─> Sent (what left lately: late or early?)
//! ```
//!
//! | file, in the order of the walk | contains |
//! | --- | --- |
//! | `ended`, `size` | a span, with its size and its attribute index; what attributes hold |
//! | `assembler` | all traces that wait, and when each leaves |
//! | `waiting` | the spans of one trace that wait |
//! | `sent` | the spans and contexts that were sent lately |
//! | `lifecycle`, `gatherer`, `pick_up` | in which form spans leave; the assembler or the buckets; when they came |
//! | `buckets`, `segment` | the streamed spans that wait, and the local roots above them |
//! | `trace`, `context` | the spans that leave together, and their `trace` header |
//! | `line`, `log_filter` | a log record; those that the application ignores |
//! | `tree`, `split` | parents and children; the parts of a trace that is too large |

mod assembler;
mod buckets;
mod context;
mod ended;
#[cfg(test)]
pub(crate) mod fixtures;
mod gatherer;
mod lifecycle;
mod line;
#[cfg_attr(not(feature = "logs"), expect(dead_code, reason = "without the feature no record comes in"))]
mod log_filter;
#[cfg(feature = "metrics")]
mod metric;
mod pick_up;
mod segment;
mod sent;
mod size;
mod split;
#[cfg(test)]
mod tests;
#[expect(clippy::module_inception, reason = "the room is named after its product")]
mod trace;
mod tree;
mod waiting;

#[cfg(feature = "metrics")]
pub(crate) use self::metric::{Measured, Measurement, MetricInfo, MetricType, Number};
pub(crate) use self::{
    assembler::{OpenRoots, WaitLimits},
    buckets::{Bucket, MAX_BUCKET},
    context::{TraceContext, known_or_minimal},
    ended::{EndedSpan, is_local_root, slimmed},
    gatherer::{Gathered, Gatherer},
    line::{LogLine, SeverityNumber},
    log_filter::LogFilters,
    pick_up::PickUp,
    segment::{Segment, Start},
    split::{MAX_SPANS, split_by_count, split_by_size},
    trace::{Fate, Trace},
    tree::without,
};
pub use self::{lifecycle::TraceLifecycle, log_filter::LogFilter};
