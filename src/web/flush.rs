//! Layers that flush at the end of a request or an invocation.
//!
//! | file | contains |
//! | --- | --- |
//! | `flusher` | the flush within its budget, with either engine |
//! | `invocation` | the layer for any service |
//! | `http` | the layer for HTTP, where a request ends with the body of its response |
//! | `body` | that body |

mod body;
mod flusher;
mod http;
mod invocation;

use std::{fmt, time::Duration};

use opentelemetry_http::{Bytes, Request};
use opentelemetry_sentry_exporter::{FlushError, Stats};
use tower_layer::Layer;

use self::flusher::Flusher;
pub use self::{
    body::FlushBody,
    http::{HttpFlushLayer, HttpFlushed},
    invocation::Flushed,
};
use crate::setup::{DrivenSentry, Sentry};

/// How long a flush may take by default, as in Sentry's SDKs for functions.
const BUDGET: Duration = Duration::from_secs(2);

/// Flushes at the end of each call of a service, before its response is passed on: for functions that freeze between two
/// invocations, and for processes that may be ended after each request.
///
/// It takes everything that is complete by then, of all traces. What is below a span that is still open stays, so requests
/// that run at the same time are not torn. It waits for the server's answer no longer than its
/// [budget](Self::with_budget); what is not delivered by then is kept for the next call, in memory, and on disk if there is a
/// spool directory. It flushes too if the service returns an error or panics; the error or panic then goes on.
///
/// It belongs **outside** of the layer that makes the span of a call, which must have ended. Around HTTP services, whose
/// spans end with the body of the response, use [`for_http`](Self::for_http). It needs a tokio runtime with a timer.
///
/// ```
/// use std::time::Duration;
/// use opentelemetry_sentry::{Sentry, web::FlushLayer};
/// use tower::{ServiceBuilder, service_fn};
///
/// let sentry = Sentry::builder().with_dsn("").with_traces_sample_rate(1.0).build()?;
/// let layer = FlushLayer::new(&sentry)
///     .with_budget(Duration::from_millis(500))
///     .with_report(|error, stats| eprintln!("Sentry: {error}; {stats}"));
/// let function = ServiceBuilder::new().layer(layer).service(service_fn(async |name: String| {
///     Ok::<_, std::io::Error>(format!("hello, {name}")) // in a span
/// }));
/// # drop(function);
/// # sentry.shutdown(Duration::ZERO)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A call that is dropped before it has ended, as by a timeout, is not flushed; the next one does that.
#[derive(Clone)]
#[must_use]
pub struct FlushLayer {
    flusher: Flusher,
}

impl FlushLayer {
    /// Flushes this `Sentry`, which has a thread for delivery.
    pub fn new(sentry: &Sentry) -> Self {
        Self { flusher: Flusher::of_thread(sentry.span_processor().clone(), BUDGET) }
    }

    /// Sends with `fetch` what a `Sentry` without a thread has, as [`flush_with`](DrivenSentry::flush_with) does.
    ///
    /// ```
    /// use http::Response;
    /// use opentelemetry_http::{Bytes, Request};
    /// use opentelemetry_sentry::{Sentry, web::FlushLayer};
    ///
    /// let sentry = Sentry::builder().with_dsn("").with_traces_sample_rate(1.0).build_driven()?;
    /// let layer = FlushLayer::driven(&sentry, |request: Request<Bytes>| async move {
    ///     // let response = client.send(request).await?;
    /// #   drop(request);
    ///     Ok::<_, std::io::Error>(Response::new(()))
    /// });
    /// # drop(layer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn driven<F, R, B, E>(sentry: &DrivenSentry, fetch: F) -> Self
    where
        F: Fn(Request<Bytes>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<::http::Response<B>, E>> + Send + 'static,
        B: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        Self { flusher: Flusher::of_delivery(sentry.delivery().clone(), fetch, BUDGET) }
    }

    /// Sets how long a flush may take at most, whatever the server does. Defaults to two seconds.
    pub fn with_budget(mut self, budget: Duration) -> Self {
        self.flusher.set_budget(budget);
        self
    }

    /// Sets a function that is called when a flush did not deliver everything, with the reason and the numbers until then:
    /// those of what was lost, of what waits and of what is on disk. Defaults to a line in the log (feature `internal-logs`).
    pub fn with_report(mut self, report: impl Fn(&FlushError, &Stats) + Send + Sync + 'static) -> Self {
        self.flusher.set_report(report);
        self
    }

    /// The same layer for HTTP: it flushes when the body of a response has ended, also in an error or a panic, before its last
    /// piece is passed on. If no body is sent, as for `HEAD`, it flushes before the response is passed on.
    pub fn for_http(self) -> HttpFlushLayer {
        HttpFlushLayer::new(self.flusher)
    }
}

impl<S> Layer<S> for FlushLayer {
    type Service = Flushed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Flushed::new(inner, self.flusher.clone())
    }
}

impl fmt::Debug for FlushLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushLayer").field("flusher", &self.flusher).finish()
    }
}
