//! How does an envelope reach the server? Only this room knows HTTP and the disk.
//!
//! ```text
//! envelope ─> outbox ─> queue ─┬─> request ─> delivery (HTTP client) ─> answer ─> verdict
//!               └─> disk ─> spool (files)          └─> link, rate_limit
//! ```
//!
//! | file, in the order of the walk | contains |
//! | --- | --- |
//! | `outbox` | what becomes of each envelope |
//! | `in_flight` | the requests without an answer |
//! | `queue` | the envelopes that wait, in one lane for each category |
//! | `link` | whether the server is away, and when it is asked again |
//! | `rate_limit` | the categories that the server has limited |
//! | `destination`, `compress`, `gzip` | the request: URL, headers, compressed body |
//! | `client`, `delivery` | the built-in HTTP client, and one request with it |
//! | `verdict` | what an answer means for its envelope |
//! | `disk`, `spool` | the jobs for the disk, and the files |
//! | `spotlight` | copies for a local Spotlight |
//! | `checkup`, `problem` | what is wrong with the setup, in sentences |
//! | `options` | settings |

mod checkup;
#[cfg_attr(any(target_family = "wasm", not(feature = "reqwest-client")), path = "transport/no_client.rs")]
mod client;
mod compress;
mod delivery;
mod destination;
mod disk;
mod gzip;
mod in_flight;
mod link;
mod options;
mod outbox;
mod problem;
mod queue;
mod rate_limit;
mod spool;
mod spotlight;
mod verdict;

#[cfg(test)]
pub(crate) use self::spool::{SpoolError, Stored};
pub(crate) use self::{
    checkup::{Asker, of_answer, of_arrivals},
    client::{ClientError, ClientSettings, default_client},
    delivery::deliver,
    destination::{BadUrl, Destination, Destinations},
    disk::{DiskDone, DiskJob},
    options::DeliveryOptions,
    outbox::{Outbox, OutboxSetup, Outgoing},
    spool::{Spool, SpoolOptions},
    verdict::Answer,
};
pub use self::{compress::Encoding, problem::Problem};
