//! Delivery by the application, on runtimes without threads.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{HeaderMap, Response, StatusCode};
use opentelemetry::Context;
use opentelemetry_http::{Bytes, Request};
use opentelemetry_sentry_protocol::__shared::own_thread;

use crate::{
    account::Stats,
    engine::{Driven, Engine, FlushError, Take, read_clocks},
    transport::{self, Answer},
};

/// The largest body that a browser sends while a page is left, with some room for its headers.
const MAX_KEEPALIVE: usize = 60 << 10;

/// Delivers what an exporter without a thread has taken in, when the application asks for it.
///
/// It comes from [`build_driven`](crate::SentryExporterBuilder::build_driven). Assembly, conversion, retries, rate limits and
/// the account are those of the exporter with a thread; only the network and the time of each step are the application's.
/// Cloning is cheap, and clones are the same delivery. When the last one is dropped, what still waits is counted as
/// [`Shutdown`](crate::DropReason::Shutdown), or as [`NetworkError`](crate::DropReason::NetworkError) if it got no answer
/// before.
///
/// ```
/// use opentelemetry::trace::{Tracer, TracerProvider};
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// use opentelemetry_sentry_exporter::{SentryExporter, SentrySpanProcessor, Take};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (exporter, delivery) =
///     SentryExporter::builder().with_dsn("https://public@o1.ingest.sentry.io/1").build_driven()?;
/// let provider = SdkTracerProvider::builder().with_span_processor(SentrySpanProcessor::from(exporter)).build();
/// provider.tracer("worker").in_span("GET /cart", |_| {});
///
/// for outgoing in delivery.take(Take::Everything) {
///     let request = outgoing.request(); // send it with the HTTP client of the runtime
///     assert_eq!(request.uri().host(), Some("o1.ingest.sentry.io"));
///     outgoing.answered(http::StatusCode::OK, &http::HeaderMap::new());
/// }
/// assert_eq!(delivery.stats().spans_sent, 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Delivery {
    /// `None` without a DSN and without Spotlight: then there is nothing to deliver.
    inner: Option<Arc<Inner>>,
}

struct Inner {
    engine: Arc<Engine>,
    driven: Driven,
}

impl Delivery {
    pub(super) fn new(parts: Option<(Arc<Engine>, Driven)>) -> Self {
        Self { inner: parts.map(|(engine, driven)| Arc::new(Inner { engine, driven })) }
    }

    /// Returns the requests that may be sent now, at most 64 that are not answered at a time. Call it again after the answers
    /// until it returns none. Within a hook of the exporter it returns none.
    #[must_use]
    pub fn take(&self, what: Take) -> Vec<Outgoing> {
        let Some(inner) = &self.inner else { return Vec::new() };
        let requests = inner.driven.take(what, read_clocks());
        requests.into_iter().map(|outgoing| Outgoing::new(outgoing, Arc::clone(inner))).collect()
    }

    /// Takes, sends with `fetch` all requests at a time, and goes on until nothing may be sent any more.
    ///
    /// `fetch` runs with telemetry suppressed. It must return after a time: the future waits for each request. If the future is
    /// dropped, the requests that are out count as not answered and are sent again later. If the runtime neither polls nor
    /// drops it any more, they do so after 30 seconds.
    ///
    /// ```
    /// # use opentelemetry_sentry_exporter::{SentryExporter, Take};
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (_, delivery) = SentryExporter::builder().build_driven()?;
    /// delivery
    ///     .flush_with(Take::Everything, |request| async move {
    ///         // let response = the_runtime_s_client.send(request).await?;
    /// #       drop(request);
    ///         Ok::<_, std::io::Error>(http::Response::new(()))
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Waiting`](FlushError::Waiting) if something got no answer or has to wait for a limit's end, and
    /// [`Undelivered`](FlushError::Undelivered) if something was lost since the last call.
    pub async fn flush_with<F, R, B, E>(&self, what: Take, mut fetch: F) -> Result<(), FlushError>
    where
        F: FnMut(Request<Bytes>) -> R,
        R: Future<Output = Result<Response<B>, E>>,
        E: fmt::Display,
    {
        let Some(inner) = &self.inner else { return Ok(()) };
        let mut out = FuturesUnordered::new();
        // The second round has the client report of what was lost in the first. There is no third: where spans go on ending,
        // each would find something.
        for _ in 0..2 {
            let mut take = what;
            loop {
                for mut outgoing in self.take(take) {
                    let fetched = suppressed(|| fetch(outgoing.take_request()));
                    out.push(async move {
                        match unseen(fetched).await {
                            Ok(response) => outgoing.answered(response.status(), response.headers()),
                            Err(error) => outgoing.failed(error.to_string()),
                        }
                    });
                }
                // The first call has taken in all.
                take = Take::Ready;
                if out.next().await.is_none() {
                    break;
                }
            }
        }
        inner.driven.result(read_clocks())
    }

    /// In what time something is due at the latest, if nothing else happens: then [`take`](Self::take) has something for
    /// [`Take::Ready`], such as an envelope that is sent again after a pause. At most five seconds.
    #[must_use]
    pub fn due_in(&self) -> Duration {
        const IDLE: Duration = Duration::from_secs(5);
        self.inner.as_ref().map_or(IDLE, |inner| inner.driven.due_in(read_clocks()))
    }

    /// What was received, sent and dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.as_ref().map(|inner| inner.engine.stats()).unwrap_or_default()
    }
}

/// A request to send. It is answered with [`answered`](Self::answered) or [`failed`](Self::failed); to drop it is the same as
/// no answer: its envelope is sent again later, a limited number of times, and then counted as lost. After 30 seconds
/// without either, a call of [`take`](Delivery::take) does not wait for it any more.
#[must_use = "a request that is dropped got no answer"]
pub struct Outgoing {
    id: u64,
    request: Request<Bytes>,
    /// `None` once it is answered.
    inner: Option<Arc<Inner>>,
}

impl Outgoing {
    fn new(outgoing: transport::Outgoing, inner: Arc<Inner>) -> Self {
        Self { id: outgoing.id, request: outgoing.request, inner: Some(inner) }
    }

    /// The request: method, URL, headers and body.
    #[must_use]
    pub const fn request(&self) -> &Request<Bytes> {
        &self.request
    }

    /// Moves the request out, for clients that want to own it; an empty one takes its place.
    #[must_use]
    pub fn take_request(&mut self) -> Request<Bytes> {
        std::mem::take(&mut self.request)
    }

    /// Whether the body is small enough for `keepalive` of `fetch`, by which a request outlives its page.
    #[must_use]
    pub fn fits_keepalive(&self) -> bool {
        self.request.body().len() <= MAX_KEEPALIVE
    }

    /// Notes the server's answer. The headers have its rate limits.
    pub fn answered(mut self, status: StatusCode, headers: &HeaderMap) {
        self.answer(Answer::Status(status.as_u16(), headers.clone()));
    }

    /// Notes that no answer came, for this reason.
    pub fn failed(mut self, reason: impl Into<String>) {
        self.answer(Answer::Nothing(reason.into()));
    }

    fn answer(&mut self, answer: Answer) {
        if let Some(inner) = self.inner.take() {
            inner.driven.answered(self.id, answer, read_clocks());
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.answer(Answer::Nothing("the request was dropped".to_owned()));
    }
}

/// What waits is the application's data, so it is not shown.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("has_destination", &self.inner.is_some()).finish_non_exhaustive()
    }
}

/// The body is the application's data, so it is not shown.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, bytes) = (self.request.uri().host(), self.request.body().len());
        f.debug_struct("Outgoing").field("host", &host).field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// Runs a step of the application's HTTP client: what it records would have to be delivered as well.
fn suppressed<T>(f: impl FnOnce() -> T) -> T {
    let _own = own_thread::enter();
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    f()
}

/// The same future, in which nothing is recorded.
async fn unseen<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| suppressed(|| future.as_mut().poll(cx))).await
}
