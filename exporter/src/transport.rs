//! How do envelopes get out? Everything that knows of sockets and disks is in here.

mod checkup;
mod client;
mod compress;
mod delivery;
mod destination;
mod disk;
mod link;
mod options;
mod outbox;
mod queue;
mod rate_limit;
mod spool;
mod spotlight;
mod verdict;

#[cfg(test)]
pub(crate) use self::spool::{SpoolError, Stored};
pub use self::{checkup::Problem, compress::Encoding};
pub(crate) use self::{
    checkup::{Reply, of_answer},
    client::{ClientError, ClientSettings, default_client},
    delivery::deliver,
    destination::{BadUrl, Destinations},
    disk::{DiskDone, DiskJob},
    options::DeliveryOptions,
    outbox::{Outbox, OutboxSetup, Outgoing},
    spool::{Spool, SpoolOptions},
    verdict::Answer,
};
