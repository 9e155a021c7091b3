//! The thread that listens, and what it does with a connection.

use std::{
    error, fmt, future, io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
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
    answer::{Answer, Reply, refuse},
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
        let desk = Arc::new(Desk { journal, recorder: Recorder::from_env(address.port()) });
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = thread::Builder::new().name("sentry-local-ingest".to_owned()).spawn(move || {
            // Or the ingest of a test would trace itself.
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            run(listener, &desk, stopped, &ready);
        })?;
        started.recv().map_err(|_| io::Error::other("the thread of the ingest ended"))??;
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
            let _ = thread.join(); // its panic was reported by the thread itself
        }
    }
}

/// What each connection needs.
struct Desk {
    journal: Arc<SharedJournal>,
    recorder: Recorder,
}

/// Listens until told to stop. The runtime is built here, because an outer one must not see it dropped.
fn run(listener: TcpListener, desk: &Arc<Desk>, stopped: oneshot::Receiver<()>, ready: &mpsc::Sender<io::Result<()>>) {
    // Nobody listens for these words if `start` gave up.
    match listen(listener) {
        Ok((runtime, listener)) => {
            let _ = ready.send(Ok(()));
            runtime.block_on(accept(listener, desk, stopped));
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

async fn accept(listener: net::TcpListener, desk: &Arc<Desk>, mut stopped: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(desk)));
            }
            // Out of file descriptors, most likely: some close in time.
            Err(_) => time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn converse(stream: net::TcpStream, desk: Arc<Desk>) {
    let _ = stream.set_nodelay(true); // only makes it faster
    let service = service_fn(|request| respond(request, &desk));
    // A client that goes away, and `Answer::close`, end as errors here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, desk: &Desk) -> Result<Response<Full<Bytes>>, Unanswered> {
    let arrival = receive(request).await?;
    let envelope = arrival.for_sentry();
    let (number, delay, reply) = desk.journal.change(|journal| {
        let (delay, reply) = decide(journal, &arrival);
        (journal.arrived(arrival), delay, reply)
    });
    if !delay.is_zero() {
        time::sleep(delay).await;
    }
    match reply {
        Reply::Response(response) => {
            let accepted = envelope.filter(|_| response.status().is_success());
            let refusal = accepted.and_then(|envelope| desk.recorder.record(&envelope).err());
            let response = refusal.as_ref().map_or(response, refuse);
            let status = response.status().as_u16();
            desk.journal.change(|journal| journal.answered(number, status, refusal.as_ref()));
            Ok(response.map(Full::new))
        }
        Reply::Close => Err(Unanswered),
        Reply::Hang => future::pending().await,
    }
}

/// Reads a request whole, also one that is refused: else its client could fail to read why.
async fn receive(request: Request<Incoming>) -> Result<Arrival, Unanswered> {
    let (head, body) = request.into_parts();
    let (body, body_size) = read(body).await?;
    let (route, verdict) = match Route::find(&head) {
        Ok(route) => (Some(route), body.and_then(|body| route.read(&head, &body))),
        Err(refusal) => (None, Err(refusal)),
    };
    Ok(Arrival { head, body_size, route, verdict })
}

fn decide(journal: &mut Journal, arrival: &Arrival) -> (Duration, Reply) {
    match (arrival.route, &arrival.verdict) {
        (Some(Route::Spotlight), _) => (Duration::ZERO, Answer::ok().reply(None)),
        (_, Err(refusal)) => (Duration::ZERO, Reply::Response(refuse(refusal))),
        (_, Ok(envelope)) => {
            let answer = journal.next_answer();
            (answer.delay(), answer.reply(envelope.event_id()))
        }
    }
}

/// Reads all of a body and counts it, but keeps no more than an envelope may have.
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
