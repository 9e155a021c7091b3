//! How do envelopes get out? Everything that knows of threads, sockets and clocks is in here.

mod client;
mod destination;
mod worker;

pub(crate) use self::{
    client::{ClientError, default_client},
    destination::{Destination, Destinations},
    worker::{Setup, Worker},
};
