//! How do envelopes get out? Everything that knows of sockets and disks is in here.

mod checkup;
mod client;
mod compress;
mod delivery;
mod destination;
mod link;
mod options;
mod outbox;
mod rate_limit;
mod spool;

pub use self::{checkup::Problem, compress::Encoding};
pub(crate) use self::{
    checkup::{Reply, of_answer},
    client::{ClientError, ClientSettings, default_client},
    destination::{BadUrl, Destinations},
    options::DeliveryOptions,
    outbox::{Outbox, OutboxSetup},
    spool::{Limits, Spool},
};
