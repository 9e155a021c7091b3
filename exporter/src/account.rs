//! What became of every span, and what Sentry hears of it.

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
