//! What the destructors of `thread_local!`s do while their thread ends. A panic in one of them aborts the process.

use std::{cell::RefCell, error::Error, io, panic, thread};

use tracing::{error, info, info_span};
use tracing_subscriber::prelude::*;

use crate::support::{PATIENCE, run_alone, sentry_to_ingest};

/// Logs when it is destroyed.
struct Connection;

impl Drop for Connection {
    fn drop(&mut self) {
        info!("connection closed");
        error!(error = &io::Error::other("reset") as &dyn Error, "connection lost");
    }
}

thread_local! {
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// Runs work on a thread that has a connection, which is destroyed after what the work has used.
fn on_a_thread(work: fn()) {
    let thread = thread::spawn(move || {
        CONNECTION.set(Some(Connection));
        work();
    });
    thread.join().expect("no panic");
}

#[test]
#[ignore = "needs a process of its own, which a fault would abort"]
fn ends_threads_whose_destructors_log() {
    let (ingest, builder) = sentry_to_ingest();
    let sentry = builder.with_logs(true).with_exceptions_as_errors(true).build().expect("a valid setup");
    tracing_subscriber::registry().with(sentry.tracing_layer()).with(sentry.log_layer()).init();
    // A panic hook may log, too.
    panic::set_hook(Box::new(|_| error!("panicked")));
    on_a_thread(|| info_span!("line").in_scope(|| info!("working")));
    on_a_thread(|| info_span!("no line").in_scope(|| ()));
    on_a_thread(|| ());
    sentry.flush(PATIENCE).expect("everything arrives");
    assert_eq!(ingest.transactions().len(), 2);
    let mut lines: Vec<_> = ingest.logs().into_iter().map(|log| log.body).collect();
    lines.sort();
    // The last thread has a context that begins in the destructor.
    assert_eq!(lines, ["connection closed", "connection lost", "working"]);
    let stats = sentry.stats();
    assert_eq!((stats.logs_received, stats.logs_sent), (3, 3), "{stats}");
}

#[test]
fn a_line_while_a_thread_ends_does_not_abort_the_process() {
    run_alone("ending_thread::ends_threads_whose_destructors_log", &[]);
}
