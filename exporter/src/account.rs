//! What became of every span? This room counts each one, for the application and for Sentry's own statistics.
//!
//! | file | contains |
//! | --- | --- |
//! | `drop_reason` | the reasons for which something is dropped |
//! | `counts` | how many transactions, spans, errors, logs and metrics an envelope accounts for |
//! | `ledger` | the counters |
//! | `stats` | the same numbers for the application |
//! | `report` | client reports: the losses, for Sentry |
//! | `time` | the two clocks, and times in Sentry's formats |

mod counts;
mod drop_reason;
mod ledger;
mod report;
mod stats;
mod time;

pub(crate) use self::{
    counts::Counts,
    ledger::{Ledger, unsampled},
    report::{Report, Reports},
    time::{LAST_SECOND, Now, Rfc3339, seconds},
};
pub use self::{
    drop_reason::DropReason,
    stats::{Dropped, Stats, Trimmed},
};
