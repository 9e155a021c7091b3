//! Sends the envelopes of traces through the transport of the `sentry` crate.

use std::{
    fmt,
    io::{self, Read},
    iter,
    pin::Pin,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use flate2::read::GzDecoder;
use http::{StatusCode, header::CONTENT_ENCODING};
use opentelemetry::Context;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use sentry_core::{Client, Envelope};
use tokio::sync::oneshot;

/// The most envelopes of ours in the client's queue. The queue has 30 places by default and drops what does not fit; the
/// other 14 are for the client's own envelopes.
const BATCH: usize = 16;

/// How long the client may take to send a batch. The exporter waits 30 s for an answer, which must not end before.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Passes the envelopes of traces to a client of the `sentry` crate, so that both share one connection, queue and rate
/// limiter.
///
/// ```
/// # mod sentry {
/// #     pub use sentry_core::*;
/// #     pub fn init(options: impl Into<ClientOptions>) {
/// #         Hub::current().bind_client(Some(std::sync::Arc::new(Client::from_config(options))));
/// #     }
/// # }
/// use opentelemetry_sentry::{
///     Sentry,
///     sentry_sdk::{SharedTransport, TraceIntegration},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let dsn = "https://public@o1.ingest.sentry.io/1";
/// let options = sentry::ClientOptions::new().add_integration(TraceIntegration::new());
/// let _guard = sentry::init((dsn, options));
///
/// let client = sentry::Hub::current().client().ok_or("sentry is not initialised")?;
/// let traces = Sentry::builder().with_dsn(dsn).with_http_client(SharedTransport::new(client)?).build()?;
/// # Ok(()) }
/// ```
///
/// The client sends them to its own DSN; set the same for both. At the end of the process shut
/// [`Sentry`](crate::Sentry) down first and the client after it.
///
/// # What it costs
///
/// - The client does not report what the server answered. An envelope counts as sent when a flush of the client returns
///   that all it was given has been sent, even if the server refused it or could not be reached.
/// - An envelope for which the flush does not return this within ten seconds counts as dropped
///   ([`SendError`](crate::exporter::DropReason::SendError)), although it may still arrive. The others wait in the exporter
///   until the client has sent what it was given.
/// - What the client was given is not tried again and not kept in a spool.
/// - It sends one envelope at a time, without compression.
/// - It does not look into our envelopes. So it obeys a rate limit for everything, but not one for transactions only,
///   which the server then enforces.
///
/// The built-in transport has none of these limits. Envelopes that wait stay in the exporter: the client gets 16 at a
/// time, so its queue does not overflow.
#[derive(Clone)]
pub struct SharedTransport {
    client: Arc<Client>,
    /// Unbounded, but the exporter has at most 64 requests in flight, and each waits here once.
    jobs: mpsc::Sender<Job>,
}

struct Job {
    envelope: Vec<u8>,
    /// Completed when the client was given the envelope: whether it reports that it has sent it. Dropped if it was not
    /// given the envelope. The exporter drops the other end when it gives up.
    done: oneshot::Sender<bool>,
}

impl SharedTransport {
    /// Makes a transport, and starts the thread that waits for the client. It ends when the last clone is dropped.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn new(client: Arc<Client>) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let theirs = Arc::clone(&client);
        thread::Builder::new().name("sentry-shared".to_owned()).spawn(move || work(&theirs, &inbox))?;
        Ok(Self { client, jobs })
    }

    async fn hand_over(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if !self.client.is_enabled() {
            return Err("the client of the sentry crate has no DSN, no transport or was closed".into());
        }
        let Some(envelope) = unpacked(&request)? else {
            return Ok(answer(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        };
        let (done, is_done) = oneshot::channel();
        self.jobs.send(Job { envelope, done })?;
        // Without an answer the exporter would send the envelope again, and the client may still send it.
        match is_done.await {
            Ok(true) => Ok(answer(StatusCode::OK)),
            Ok(false) => Ok(answer(StatusCode::GATEWAY_TIMEOUT)),
            Err(_) => Err("the client of the sentry crate has not sent earlier envelopes yet, or was closed".into()),
        }
    }
}

impl HttpClient for SharedTransport {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.hand_over(request))
    }
}

impl fmt::Debug for SharedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client is left out: its debug text contains the DSN.
        f.debug_struct("SharedTransport").finish_non_exhaustive()
    }
}

fn work(client: &Client, inbox: &mpsc::Receiver<Job>) {
    let _no_traces = Context::enter_telemetry_suppressed_scope();
    // Whether the client has sent all that it was given. Otherwise its queue may be full, and it drops what does not fit.
    let mut is_through = true;
    while let Ok(first) = inbox.recv() {
        let batch: Vec<_> = iter::once(first).chain(inbox.try_iter().take(BATCH - 1)).collect();
        is_through = (is_through || client.flush(Some(FLUSH_TIMEOUT))) && client.is_enabled();
        if !is_through {
            continue;
        }
        // The exporter gave up on the others: it sends them again or counts them, so they must not leave from here.
        let wanted = batch.into_iter().filter(|job| !job.done.is_closed());
        let done: Vec<_> = wanted.map(|job| hand_in(client, job)).collect();
        // A closed client returns `true` although it may have dropped them.
        is_through = client.flush(Some(FLUSH_TIMEOUT)) && client.is_enabled();
        for done in done {
            let _ = done.send(is_through);
        }
    }
}

fn answer(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    answer
}

fn hand_in(client: &Client, job: Job) -> oneshot::Sender<bool> {
    // Raw, so that the client writes the same bytes: parsing would drop all that `sentry` has no fields for.
    if let Ok(envelope) = Envelope::from_bytes_raw(job.envelope) {
        client.send_envelope(envelope);
    }
    job.done
}

/// The envelope without compression; `None` if its encoding is not supported here.
fn unpacked(request: &Request<Bytes>) -> io::Result<Option<Vec<u8>>> {
    match request.headers().get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes()) {
        None => Ok(Some(request.body().to_vec())),
        Some(b"gzip") => {
            let mut envelope = Vec::new();
            GzDecoder::new(&request.body()[..]).read_to_end(&mut envelope)?;
            Ok(Some(envelope))
        }
        Some(_) => Ok(None),
    }
}
