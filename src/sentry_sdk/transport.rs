//! How do envelopes of traces leave through the transport of the `sentry` crate?

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

/// How many envelopes wait in the client's queue at most. It takes 30 by default and drops what comes then; the rest is
/// for its own.
const BATCH: usize = 16;

/// How long the client may take for a batch before it gets the next one.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Hands the envelopes of traces to a client of the `sentry` crate, so that one connection, one queue and one rate
/// limiter serve both.
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
/// # main().unwrap();
/// ```
///
/// They go where the client's DSN says; give both the same. At the end shut down [`Sentry`](crate::Sentry) first, and the
/// client after it.
///
/// # What it costs
///
/// The client tells nobody what became of an envelope. What it got counts as sent, and is neither tried again nor kept
/// in a spool; it sends one envelope at a time and without compression; and it knows an envelope of ours as a lump of
/// bytes, so it heeds a limit for everything, but leaves one for transactions alone to the server. Our own transport does
/// all of that. What waits stays with us: the client gets a few envelopes at a time, so its queue does not overflow.
#[derive(Clone)]
pub struct SharedTransport {
    client: Arc<Client>,
    /// No more than the exporter's requests in flight.
    jobs: mpsc::Sender<Job>,
}

struct Job {
    envelope: Vec<u8>,
    /// Told when the client is done with it.
    done: oneshot::Sender<()>,
}

impl SharedTransport {
    /// Makes one, with a thread that waits for the client. The thread ends with the last clone.
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
            let mut refusal = Response::new(Bytes::new());
            *refusal.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Ok(refusal);
        };
        let (done, is_done) = oneshot::channel();
        self.jobs.send(Job { envelope, done })?;
        is_done.await?;
        Ok(Response::new(Bytes::new()))
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
        // The client's debug text has the DSN in it.
        f.debug_struct("SharedTransport").finish_non_exhaustive()
    }
}

fn work(client: &Client, inbox: &mpsc::Receiver<Job>) {
    let _no_traces = Context::enter_telemetry_suppressed_scope();
    while let Ok(first) = inbox.recv() {
        let batch = iter::once(first).chain(inbox.try_iter().take(BATCH - 1));
        // What the exporter gave up waiting for comes again, or is counted.
        let wanted = batch.filter(|job| !job.done.is_closed());
        let done: Vec<_> = wanted.map(|job| hand_in(client, job)).collect();
        // Whether it was in time or not, the envelopes are the client's now: to try again would send them twice.
        let _ = client.flush(Some(FLUSH_TIMEOUT));
        for done in done {
            let _ = done.send(());
        }
    }
}

fn hand_in(client: &Client, job: Job) -> oneshot::Sender<()> {
    // Raw bytes are taken as they are, and written as they are: parsed, they would lose what `sentry` has no fields for.
    if let Ok(envelope) = Envelope::from_bytes_raw(job.envelope) {
        client.send_envelope(envelope);
    }
    job.done
}

/// The envelope as it was before it was compressed; `None` for a compression that nobody knows here.
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
