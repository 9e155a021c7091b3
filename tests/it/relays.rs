//! Two Relays behind a balancer. One is killed under load. They are stand-ins: ingests on loopback.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use opentelemetry_sentry::exporter::testing::{Answer, Gate, LocalIngest};
use tokio::{net::TcpListener, sync::watch};

use crate::support::{PATIENCE, end_spans, sentry_at};

/// The path under which the balancer has Relay.
const PATH: &str = "/relay";

/// Passes each request to the next stand-in in turn, as a balancer does. To a killed one it refuses nothing: the other one gets
/// the request.
struct Balancer {
    client: reqwest::Client,
    relays: Vec<String>,
    turn: AtomicUsize,
    /// The number of the stand-in that is killed.
    killed: watch::Receiver<Option<usize>>,
}

impl Balancer {
    /// Starts one on a thread of its own. Returns its port.
    fn start(relays: &[LocalIngest], killed: watch::Receiver<Option<usize>>) -> u16 {
        let relays = relays.iter().map(|relay| format!("http://{}", relay.address())).collect();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let balancer = Arc::new(Self { client, relays, turn: AtomicUsize::new(0), killed });
        let (port, listens) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                port.send(listener.local_addr().expect("an address").port()).expect("a test");
                axum::serve(listener, Router::new().fallback(forward).with_state(balancer)).await
            })
        });
        listens.recv().expect("it listens")
    }
}

async fn forward(state: State<Arc<Balancer>>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    let State(balancer) = state;
    let turn = balancer.turn.fetch_add(1, Ordering::Relaxed) % balancer.relays.len();
    let mut killed = balancer.killed.clone();
    let is_killed = |now: &Option<usize>, number: usize| *now == Some(number);
    let number = if is_killed(&killed.borrow(), turn) { (turn + 1) % balancer.relays.len() } else { turn };
    let path = uri.path().strip_prefix(PATH).expect("the DSN has this path");
    let request = balancer.client.post(format!("{}{path}", balancer.relays[number])).headers(headers).body(body);
    tokio::select! {
        answer = request.send() => {
            let answer = answer.expect("an answer");
            (answer.status(), answer.headers().clone())
        }
        // The connection is closed without an answer, as that of a killed process is.
        _ = killed.wait_for(|now| is_killed(now, number)) => panic!("the stand-in is killed, as the test wants"),
    }
}

#[test]
fn one_of_two_relays_is_killed_under_load_and_everything_arrives_or_is_counted() {
    const TRACES: usize = 200;
    let relays = [LocalIngest::start().expect("a free port"), LocalIngest::start().expect("a free port")];
    let (kill, killed) = watch::channel(None);
    let port = Balancer::start(&relays, killed);
    let sentry = sentry_at(format!("http://public@127.0.0.1:{port}{PATH}/1")).build().unwrap();
    end_spans(&sentry, 20);
    assert_eq!(sentry.flush(PATIENCE), Ok(()));
    assert!(relays.iter().all(|relay| !relay.transactions().is_empty()), "both are used");

    // Now the second one takes requests and answers none of them.
    let gate = Gate::new();
    relays[1].answer_with(Answer::ok().with_gate(&gate));
    let before = relays[1].requests().len();
    end_spans(&sentry, TRACES);
    thread::scope(|scope| {
        let flush = scope.spawn(|| sentry.flush(PATIENCE));
        relays[1].wait_until(PATIENCE, |_| relays[1].requests().len() > before).expect("it has requests");
        kill.send_replace(Some(1));
        assert_eq!(flush.join().unwrap(), Ok(()));
    });
    let stats = sentry.stats();
    assert_eq!(stats.spans_received, stats.spans_sent + stats.spans_dropped(), "{stats}");
    let arrived: Vec<_> = relays.iter().flat_map(LocalIngest::transactions).collect();
    let ids: BTreeSet<_> = arrived.iter().map(|event| event["event_id"].to_string()).collect();
    assert_eq!((arrived.len(), ids.len()), (ids.len(), TRACES + 20), "each once");
    assert_eq!((stats.spans_sent, stats.spans_dropped()), (ids.len() as u64, 0), "{stats}");
}

#[test]
fn a_balancer_that_says_that_its_relay_is_gone_costs_what_is_counted() {
    let ingest = LocalIngest::start().expect("a free port");
    let answers = (0..40).map(|number| if number % 4 == 0 { Answer::status(502) } else { Answer::ok() });
    ingest.answer_next(answers);
    let sentry = sentry_at(ingest.dsn()).build().unwrap();
    end_spans(&sentry, 40);
    let _ = sentry.flush(PATIENCE);
    let stats = sentry.stats();
    assert_eq!(ingest.transactions().len() as u64, stats.spans_sent);
    assert_eq!((stats.spans_received, stats.spans_sent + stats.spans_dropped()), (40, 40), "{stats}");
    assert!(stats.spans_dropped() > 0, "{stats}");
}
