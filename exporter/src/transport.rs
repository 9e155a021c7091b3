//! How do envelopes get out? Everything that knows of threads, sockets and clocks is in here.

mod client;
mod delivery;
mod destination;
mod worker;

pub(crate) use self::{
    client::{ClientError, default_client},
    destination::{BadUrl, Destination, Destinations},
    worker::{Setup, Worker},
};
