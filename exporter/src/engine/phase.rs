//! How far a shutdown has come.

use web_time::Instant;

use super::order::Waiter;

/// A shutdown walks through these phases in order. It skips `GivingUp` if everything was delivered in time, and
/// `Reporting` if not.
#[derive(Debug)]
pub(super) enum Phase {
    Running,
    /// No span is accepted any more. Delivery continues until `give_up_at`.
    Closing {
        /// `None` if the application dropped the exporter without a shutdown.
        waiter: Option<Waiter>,
        give_up_at: Instant,
        deadline: Instant,
    },
    /// Everything was delivered or dropped. A last request reports the losses.
    Reporting {
        waiter: Option<Waiter>,
        deadline: Instant,
        /// The report was sent. It is not sent again: a server that refuses everything also refuses the report.
        is_sent: bool,
    },
    /// The time for delivery is over. The rest goes to the disk until `deadline`, or is dropped if there is no disk.
    GivingUp {
        waiter: Option<Waiter>,
        deadline: Instant,
    },
    Stopped,
}
