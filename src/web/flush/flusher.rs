//! A flush within its budget.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use http::Response;
use opentelemetry::otel_warn;
use opentelemetry_http::{Bytes, Request};
use opentelemetry_sentry_exporter::{Delivery, FlushError, SentrySpanProcessor, Stats, Take};

pub(super) type Flushing = Pin<Box<dyn Future<Output = ()> + Send>>;

type Attempt = Pin<Box<dyn Future<Output = Result<(), FlushError>> + Send>>;

type Report = dyn Fn(&FlushError, &Stats) + Send + Sync;

/// Flushes either engine.
#[derive(Clone)]
pub(super) struct Flusher {
    /// Gets the time that the worker has.
    flush: Arc<dyn Fn(Duration) -> Attempt + Send + Sync>,
    stats: Arc<dyn Fn() -> Stats + Send + Sync>,
    budget: Duration,
    report: Arc<Report>,
}

impl Flusher {
    pub(super) fn of_thread(processor: SentrySpanProcessor, budget: Duration) -> Self {
        let of_stats = processor.clone();
        let flush = move |timeout| -> Attempt {
            let processor = processor.clone();
            Box::pin(async move { processor.flush_ended(timeout).await })
        };
        Self::new(flush, move || of_stats.stats(), budget)
    }

    pub(super) fn of_delivery<F, R, B, E>(delivery: Delivery, fetch: F, budget: Duration) -> Self
    where
        F: Fn(Request<Bytes>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let (of_stats, fetch) = (delivery.clone(), Arc::new(fetch));
        let flush = move |_| -> Attempt {
            let (delivery, fetch) = (delivery.clone(), Arc::clone(&fetch));
            Box::pin(async move { delivery.flush_with(Take::Ended, |request| fetch(request)).await })
        };
        Self::new(flush, move || of_stats.stats(), budget)
    }

    fn new(
        flush: impl Fn(Duration) -> Attempt + Send + Sync + 'static,
        stats: impl Fn() -> Stats + Send + Sync + 'static,
        budget: Duration,
    ) -> Self {
        Self { flush: Arc::new(flush), stats: Arc::new(stats), budget, report: Arc::new(log) }
    }

    pub(super) const fn set_budget(&mut self, budget: Duration) {
        self.budget = budget;
    }

    pub(super) fn set_report(&mut self, report: impl Fn(&FlushError, &Stats) + Send + Sync + 'static) {
        self.report = Arc::new(report);
    }

    /// Flushes, and reports what was not delivered.
    pub(super) fn flush(&self) -> Flushing {
        let Self { flush, stats, budget, report } = self.clone();
        Box::pin(async move {
            // The worker's time is a little shorter, so that its answer, which says more than that time is over, arrives.
            let margin = (budget / 10).min(Duration::from_millis(50));
            let done = tokio::time::timeout(budget, flush(budget.saturating_sub(margin))).await;
            if let Err(error) = done.unwrap_or(Err(FlushError::Timeout(budget))) {
                report(&error, &stats());
            }
        })
    }
}

impl fmt::Debug for Flusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flusher").field("budget", &self.budget).finish_non_exhaustive()
    }
}

fn log(error: &FlushError, stats: &Stats) {
    otel_warn!(name: "Sentry.NotFlushed", message = format!("{error}; {stats}"));
    let _ = (error, stats); // without the feature `internal-logs` nothing is logged
}
