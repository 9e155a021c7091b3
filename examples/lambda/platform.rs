//! A stand-in of the [runtime's API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) on loopback.

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderName, StatusCode},
    response::{AppendHeaders, IntoResponse},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, watch},
};

/// The variable that names the API's address to a function.
pub(crate) const API: &str = "AWS_LAMBDA_RUNTIME_API";

/// How many events and outcomes may wait. There is one at a time.
const ROOM: usize = 1;

/// What a function has answered: its response, or the error that the runtime has reported.
pub(crate) type Outcome = Result<Value, Value>;

/// A platform with one function.
#[derive(Debug)]
pub(crate) struct Platform {
    address: String,
    events: mpsc::Sender<Value>,
    outcomes: mpsc::Receiver<(String, Outcome)>,
    asked: watch::Receiver<u64>,
    invocations: u64,
}

#[derive(Debug)]
struct Shared {
    events: Mutex<mpsc::Receiver<Value>>,
    outcomes: mpsc::Sender<(String, Outcome)>,
    /// How often the function has asked for an event.
    asked: watch::Sender<u64>,
}

impl Platform {
    pub(crate) async fn start() -> io::Result<Self> {
        let (events, receiver) = mpsc::channel(ROOM);
        let (sender, outcomes) = mpsc::channel(ROOM);
        let (asked, asked_now) = watch::channel(0);
        let shared = Arc::new(Shared { events: Mutex::new(receiver), outcomes: sender, asked });
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address, events, outcomes, asked: asked_now, invocations: 0 })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until the function has nothing to do: it has asked for the next event. Only then a platform freezes it.
    pub(crate) async fn until_idle(&mut self) -> Result<(), String> {
        let invocations = self.invocations;
        let asked = self.asked.wait_for(|asked| *asked > invocations).await;
        asked.map(drop).map_err(|_| "the API has ended".to_owned())
    }

    /// Gives the function its next event.
    pub(crate) async fn invoke(&mut self, event: Value) -> Result<(), String> {
        self.invocations += 1;
        self.events.send(event).await.map_err(|_| "the API has ended".to_owned())
    }

    /// Waits for the outcome of the event.
    pub(crate) async fn outcome(&mut self) -> Result<Outcome, String> {
        let (id, outcome) = self.outcomes.recv().await.ok_or("the API has ended")?;
        let expected = self.invocations.to_string();
        if id == expected { Ok(outcome) } else { Err(format!("an answer to {id} instead of {expected}")) }
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let mut id = 0;
    shared.asked.send_modify(|asked| {
        *asked += 1;
        id = *asked;
    });
    let Some(event) = shared.events.lock().await.recv().await else { return Err(StatusCode::GONE) };
    let name = |name| HeaderName::from_static(name);
    let headers = [
        (name("lambda-runtime-aws-request-id"), id.to_string()),
        (name("lambda-runtime-deadline-ms"), u32::MAX.to_string()),
        (name("lambda-runtime-invoked-function-arn"), "arn:aws:lambda:eu-central-1:0:function:stock".to_owned()),
    ];
    Ok((AppendHeaders(headers), Json(event)))
}

async fn response(state: State<Arc<Shared>>, id: Path<String>, body: Bytes) -> StatusCode {
    note(&state, id, Ok(read(&body))).await
}

async fn error(state: State<Arc<Shared>>, id: Path<String>, body: Bytes) -> StatusCode {
    note(&state, id, Err(read(&body))).await
}

/// The runtime does not say that it sends JSON.
fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|error| error.to_string().into())
}

async fn note(shared: &Shared, Path(id): Path<String>, outcome: Outcome) -> StatusCode {
    let noted = shared.outcomes.send((id, outcome)).await;
    noted.map_or(StatusCode::GONE, |()| StatusCode::ACCEPTED)
}
