//! Sentry without a thread of its own.

use std::{fmt, future::Future, ops::Deref, time::Duration};

use opentelemetry_http::{Bytes, Request, Response};
use opentelemetry_sentry_exporter::{Delivery, FlushError, Outgoing, Take};

use super::Sentry;

/// A [`Sentry`] that starts no thread: the application sends the requests with the HTTP client of its runtime.
///
/// [`build_driven`](crate::SentryBuilder::build_driven) makes it. All that a [`Sentry`] offers, such as its tracer provider and
/// its layers, is here, too. The [guide](crate::guide::edge) says when to deliver.
///
/// ```
/// use opentelemetry::trace::{Tracer, TracerProvider};
/// use opentelemetry_sentry::{Sentry, Take};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sentry = Sentry::builder()
///     .with_dsn("https://public@o1.ingest.sentry.io/1")
///     .with_traces_sample_rate(1.0)
///     .build_driven()?;
/// sentry.tracer_provider().tracer("worker").in_span("GET /cart", |_| {});
///
/// for outgoing in sentry.take(Take::Everything) {
///     // Send `outgoing.request()`, and say what the server has answered:
///     outgoing.answered(http::StatusCode::OK, &http::HeaderMap::new());
/// }
/// assert_eq!(sentry.stats().spans_sent, 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "dropping it shuts Sentry down: keep it as long as spans end"]
pub struct DrivenSentry {
    sentry: Sentry,
    delivery: Delivery,
}

impl DrivenSentry {
    pub(super) const fn new(sentry: Sentry, delivery: Delivery) -> Self {
        Self { sentry, delivery }
    }

    /// What delivers. Its clones are the same delivery, for tasks that outlive a request.
    #[must_use]
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The requests that may be sent now: see [`Delivery::take`].
    #[must_use]
    pub fn take(&self, what: Take) -> Vec<Outgoing> {
        self.delivery.take(what)
    }

    /// Takes requests and sends them with `fetch`, until nothing may be sent any more: see [`Delivery::flush_with`].
    ///
    /// # Errors
    ///
    /// [`Waiting`](FlushError::Waiting) if something has to wait, and [`Undelivered`](FlushError::Undelivered) if something was
    /// lost since the last call.
    pub async fn flush_with<F, R, B, E>(&self, what: Take, fetch: F) -> Result<(), FlushError>
    where
        F: FnMut(Request<Bytes>) -> R,
        R: Future<Output = Result<Response<B>, E>>,
        E: fmt::Display,
    {
        self.delivery.flush_with(what, fetch).await
    }

    /// In what time [`take`](Self::take) has something for [`Take::Ready`]: see [`Delivery::due_in`].
    #[must_use]
    pub fn due_in(&self) -> Duration {
        self.delivery.due_in()
    }

    /// Records nothing any more, and sends everything that was recorded with `fetch`. It does not wait for pauses. What gets no
    /// answer is counted as lost, unless there is a clone of the [`delivery`](Self::delivery), which can send it later.
    ///
    /// # Errors
    ///
    /// [`Waiting`](FlushError::Waiting) if something would have had to wait, and [`Undelivered`](FlushError::Undelivered) if
    /// something was lost since the last call.
    pub async fn shutdown_with<F, R, B, E>(self, fetch: F) -> Result<(), FlushError>
    where
        F: FnMut(Request<Bytes>) -> R,
        R: Future<Output = Result<Response<B>, E>>,
        E: fmt::Display,
    {
        let (sentry, delivery) = self.into_parts();
        // It says that something waits, which leaves now.
        let _ = sentry.shutdown(Duration::ZERO);
        delivery.flush_with(Take::Everything, fetch).await
    }

    /// Both parts, for applications that keep them in different places.
    pub fn into_parts(self) -> (Sentry, Delivery) {
        (self.sentry, self.delivery)
    }
}

impl Deref for DrivenSentry {
    type Target = Sentry;

    fn deref(&self) -> &Sentry {
        &self.sentry
    }
}
