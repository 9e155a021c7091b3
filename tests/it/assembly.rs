//! Which spans arrive, and under which parent: each that ended, exactly once, whatever the order and the threads.

mod account;
mod of_tracing;
mod order;
mod stress;
mod until_the_end;
