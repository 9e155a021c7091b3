//! What callers ask the worker for, and what both touch.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use opentelemetry_sdk::Resource;

use super::{flush_error::FlushError, intake::Intake};
use crate::{account::Ledger, transport::Reply};

/// What callers and the worker both touch.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) intake: Arc<Intake>,
    pub(crate) ledger: Arc<Ledger>,
}

/// What the worker is asked to do besides its work.
#[derive(Debug)]
pub(crate) enum Order {
    SetResource(Resource),
    /// Ask the server whether it would take something.
    Ask(mpsc::Sender<Result<Reply, String>>),
    /// Send everything that has ended, and answer when it has left; after the deadline no one waits any more.
    Flush(mpsc::Sender<Result<(), FlushError>>, Instant),
    /// The same, and then stop; answer at the deadline at the latest.
    Shutdown(mpsc::Sender<Result<(), FlushError>>, Instant),
}
