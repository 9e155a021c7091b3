//! For your own tests: what a closure sends to Sentry.
//!
//! [`capture`] is for code that uses the globals, such as middleware. A test that sets up a `Sentry` of its own uses
//! [`LocalIngest`] instead: with [`build`](crate::SentryBuilder::build) it touches nothing global, and tests run side by
//! side.

use std::{
    cell::Cell,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::global;

use crate::{
    Sentry, TraceLifecycle,
    exporter::testing::{Captured, LocalIngest},
};

/// Only a machine that is overloaded takes so long to deliver to itself.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What all captures of a process share. Code under test may keep a tracer of the globals in a static, so each capture
/// must have the same tracer provider.
static STAGE: LazyLock<Stage> = LazyLock::new(Stage::new);

/// Held while a closure runs: what two closures do at the same time could not be told apart.
static IS_BUSY: Mutex<()> = Mutex::new(());

thread_local! {
    /// A capture inside of another one would wait for it forever.
    static IS_CAPTURING: Cell<bool> = const { Cell::new(false) };
}

/// Ends the mark of the thread, also if the closure panics.
struct Capturing;

impl Drop for Capturing {
    fn drop(&mut self) {
        IS_CAPTURING.set(false);
    }
}

/// Runs a closure, and returns what it has sent to Sentry: transactions, spans, errors, check-ins, log lines (feature `logs`)
/// and metrics (feature `metrics`) as typed values.
///
/// Spans leave as [transactions](TraceLifecycle::Transactions), whatever `SENTRY_TRACE_LIFECYCLE` says. Those of generative
/// models leave beside them, and are in [`Captured::spans`]. A test of streamed spans sets up a `Sentry` of its own.
///
/// For the time of the closure Sentry is installed: OpenTelemetry's global tracer provider and propagator are its own, and
/// `tracing` has a subscriber with its layers (feature `tracing`). So middleware and handlers work as they do in the
/// service. Every trace is sampled unless its headers say "no", and exceptions of spans become errors.
///
/// ```
/// use opentelemetry_sentry::testing::capture;
///
/// # #[cfg(feature = "tower")] {
/// use opentelemetry_sentry::web::ServerLayer;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let sent = capture(|| {
///     let handler = service_fn(async |_: http::Request<String>| {
///         tracing::info_span!("load cart").in_scope(|| ());
///         Ok::<_, std::io::Error>(http::Response::new(String::new()))
///     });
///     let request = http::Request::get("/cart").body(String::new()).unwrap();
///     let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
///     runtime.block_on(ServerLayer::new().layer(handler).oneshot(request)).unwrap()
/// });
/// let request = sent.transaction("GET /cart");
/// assert_eq!((request.op.as_deref(), request.status.as_str()), (Some("http.server"), "ok"));
/// # #[cfg(feature = "tracing")]
/// assert_eq!(request.span("load cart").parent_span_id.as_ref(), Some(&request.span_id));
/// # }
/// ```
///
/// It waits until everything that has ended is sent. So a server must have ended with the closure, as it does when its
/// runtime is dropped there. What the closure returns is dropped before, as the body of a response may hold a span open.
///
/// Captures of one process run one after another; in a closure there must be no other one. A test that makes spans
/// outside of `capture` at the same time, through the globals, is captured too. If the process has another global
/// subscriber for `tracing`, only spans of the closure's own thread are captured, and those of tasks that carry its
/// subscriber along.
///
/// # Panics
///
/// If the closure does, inside of another capture on its thread, if there is no free port, or without the feature `reqwest-client` or `reqwest-rustls`.
#[track_caller]
pub fn capture<T>(work: impl FnOnce() -> T) -> Captured {
    assert!(!IS_CAPTURING.replace(true), "capture: it is called inside of another capture");
    let _capturing = Capturing;
    // A closure that panicked has left nothing behind that the next one could see.
    let _busy = IS_BUSY.lock().unwrap_or_else(PoisonError::into_inner);
    STAGE.begin();
    STAGE.run(|| drop(work()));
    STAGE.end()
}

struct Stage {
    ingest: LocalIngest,
    sentry: Sentry,
    #[cfg(feature = "tracing")]
    subscriber: tracing::Dispatch,
}

impl Stage {
    fn new() -> Self {
        let ingest = LocalIngest::start().unwrap_or_else(|error| panic!("capture: no ingest: {error}"));
        // Not by the variable: tests read the same form on every machine.
        let builder = Sentry::builder().with_dsn(ingest.dsn()).with_lifecycle(TraceLifecycle::Transactions);
        let builder = builder.with_traces_sample_rate(1.0);
        let builder = builder.with_exceptions_as_errors(true);
        #[cfg(feature = "metrics")]
        let builder = builder.with_metrics(true);
        #[cfg(feature = "logs")]
        let builder = builder.with_logs(true);
        let sentry = builder.build();
        let sentry = sentry.unwrap_or_else(|error| panic!("capture: {error}"));
        #[cfg(feature = "tracing")]
        let subscriber = {
            use tracing_subscriber::layer::SubscriberExt as _;
            let subscriber = tracing_subscriber::registry().with(sentry.tracing_layer());
            #[cfg(feature = "logs")]
            let subscriber = subscriber.with(sentry.log_layer());
            let subscriber = tracing::Dispatch::new(subscriber);
            // For the other threads of the closure. Where the tests have a subscriber of their own, it stays.
            let _ = tracing::dispatcher::set_global_default(subscriber.clone());
            subscriber
        };
        Self {
            ingest,
            sentry,
            #[cfg(feature = "tracing")]
            subscriber,
        }
    }

    /// Forgets what came after the end of an earlier closure, and takes the globals, which a test may have set meanwhile.
    fn begin(&self) {
        global::set_text_map_propagator(self.sentry.propagator().clone());
        global::set_tracer_provider(self.sentry.tracer_provider().clone());
        #[cfg(feature = "metrics")]
        global::set_meter_provider(self.sentry.meter_provider().clone());
        let _ = self.sentry.flush(TIMEOUT);
        self.ingest.clear();
    }

    #[cfg(feature = "tracing")]
    fn run(&self, work: impl FnOnce()) {
        tracing::dispatcher::with_default(&self.subscriber, work);
    }

    #[cfg(not(feature = "tracing"))]
    fn run(&self, work: impl FnOnce()) {
        work();
    }

    #[track_caller]
    fn end(&self) -> Captured {
        if let Err(error) = self.sentry.flush(TIMEOUT) {
            panic!("capture: {error}");
        }
        self.ingest.captured()
    }
}
