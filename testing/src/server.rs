//! The thread that listens, and how it serves a connection.

use std::{
    error, fmt, future, io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use opentelemetry::Context;
use opentelemetry_http::{Bytes, Request, Response};
use tokio::{
    net,
    runtime::{self, Runtime},
    sync::oneshot,
    time,
};

use crate::{
    answer::{Answer, Reply, refuse, spotlight},
    check::Route,
    decode::{MAX_ENVELOPE, too_large},
    journal::{Arrival, Journal, SharedJournal},
    record::Recorder,
    refusal::Refusal,
};

/// A listening thread. Dropping it stops and joins it.
pub(super) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(journal: Arc<SharedJournal>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { journal, recorder: Recorder::from_env(address.port()) });
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = thread::Builder::new().name("sentry-local-ingest".to_owned()).spawn(move || {
            // Otherwise hyper's spans would be recorded by the test that runs this ingest.
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            run(listener, &shared, stopped, &ready);
        })?;
        started.recv().map_err(|_| io::Error::other("the ingest's thread ended before it listened"))??;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // the thread itself has printed its panic
        }
    }
}

/// What all connections share.
struct Shared {
    journal: Arc<SharedJournal>,
    recorder: Recorder,
}

/// Listens until `stopped` resolves.
///
/// The runtime is built and dropped on this thread: dropping one inside of another runtime panics.
fn run(
    listener: TcpListener,
    shared: &Arc<Shared>,
    stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<io::Result<()>>,
) {
    // Sending fails only if `start` has given up.
    match listen(listener) {
        Ok((runtime, listener)) => {
            let _ = ready.send(Ok(()));
            runtime.block_on(accept(listener, shared, stopped));
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

fn listen(listener: TcpListener) -> io::Result<(Runtime, net::TcpListener)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let listener = net::TcpListener::from_std(listener)?;
    drop(entered);
    Ok((runtime, listener))
}

async fn accept(listener: net::TcpListener, shared: &Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(shared)));
            }
            // Most likely there are no file descriptors left. Others may close meanwhile.
            Err(_) => time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(stream: net::TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true); // an optimisation
    let service = service_fn(|request| respond(request, &shared));
    // Errors here mean that the client closed the connection, or that `Answer::close` did.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, shared: &Shared) -> Result<Response<Full<Bytes>>, Unanswered> {
    let arrival = receive(request).await?;
    let envelope = arrival.for_sentry();
    let (number, answer, reply) = shared.journal.change(|journal| {
        let (answer, reply) = decide(journal, &arrival);
        (journal.arrived(arrival), answer, reply)
    });
    if let Some(answer) = answer {
        answer.wait().await;
    }
    match reply {
        Reply::Response(response) => {
            let accepted = envelope.filter(|_| response.status().is_success());
            let refusal = accepted.and_then(|envelope| shared.recorder.record(&envelope).err());
            let response = refusal.as_ref().map_or(response, refuse);
            let status = response.status().as_u16();
            shared.journal.change(|journal| journal.answered(number, status, refusal.as_ref()));
            Ok(for_pages(response).map(Full::new))
        }
        Reply::Close => Err(Unanswered),
        Reply::Hang => future::pending().await,
    }
}

/// Lets pages of other origins read the answer, as Sentry does. A preflight is refused, so that a
/// test notices a page whose requests need one; those of Sentry's browser SDK do not.
fn for_pages(mut response: Response<Bytes>) -> Response<Bytes> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-sentry-error, x-sentry-rate-limits, retry-after"),
    );
    response
}

/// Reads a request to its end even if it is refused: a client that is still writing may not read the answer.
async fn receive(request: Request<Incoming>) -> Result<Arrival, Unanswered> {
    let (head, body) = request.into_parts();
    let (body, body_size) = read(body).await?;
    let (route, verdict) = match Route::find(&head) {
        Ok(route) => (Some(route), body.and_then(|body| route.read(&head, &body))),
        Err(refusal) => (None, Err(refusal)),
    };
    Ok(Arrival { head, body_size, route, verdict })
}

/// What to do with a request, and the test's answer if that is to be waited for first.
fn decide(journal: &mut Journal, arrival: &Arrival) -> (Option<Answer>, Reply) {
    match (arrival.route, &arrival.verdict) {
        (Some(Route::Spotlight), _) => (None, Reply::Response(spotlight())),
        (_, Err(refusal)) => (None, Reply::Response(refuse(refusal))),
        (_, Ok(payload)) => {
            let answer = journal.next_answer();
            let reply = answer.clone().reply(payload);
            (Some(answer), reply)
        }
    }
}

/// Reads a body to its end and counts its bytes, but keeps no more than the limit for an envelope.
async fn read(mut body: Incoming) -> Result<(Result<Bytes, Refusal>, usize), Unanswered> {
    let (mut kept, mut size) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unanswered)?;
        let Some(data) = frame.data_ref() else {
            continue; // trailers
        };
        size += data.len();
        if size <= MAX_ENVELOPE {
            kept.extend_from_slice(data);
        }
    }
    if size > MAX_ENVELOPE {
        return Ok((Err(too_large()), size));
    }
    Ok((Ok(Bytes::from(kept)), size))
}

/// Makes hyper close the connection.
#[derive(Debug)]
struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer")
    }
}

impl error::Error for Unanswered {}

/// How long to wait before the next try when a connection cannot be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
