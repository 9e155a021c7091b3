//! Every span that ended arrives exactly once and under its parent, whatever the order and the threads.

mod account;
mod of_tracing;
mod order;
mod stress;
mod until_the_end;
