//! What became of every span, and who is told.

mod ledger;
mod report;
mod time;

pub use self::ledger::{DropReason, Dropped, Stats, Trimmed};
pub(crate) use self::{
    ledger::{Ledger, Load, unsampled},
    report::{Report, Reports},
    time::{LAST_SECOND, seconds},
};
