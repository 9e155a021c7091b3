//! What applications do with spans of `tracing`, on purpose and by accident.

use std::{future, mem, thread, time::Duration};

use opentelemetry::{
    Context,
    trace::{SpanId, TraceContextExt, Tracer, TracerProvider},
};
use tokio::{runtime::Runtime, sync::oneshot, time::timeout};
use tracing::{Dispatch, Instrument, Span, dispatcher, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;

use super::account::{Audited, named};
use crate::support::PATIENCE;

impl Audited {
    fn dispatch(&self) -> Dispatch {
        Dispatch::new(tracing_subscriber::registry().with(self.sentry.tracing_layer()))
    }

    /// A runtime whose threads all have the tracing layer.
    fn runtime(&self) -> Runtime {
        let dispatch = self.dispatch();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        // The guard is forgotten, so the subscriber stays set until the thread ends.
        let trace = move || mem::forget(dispatcher::set_default(&dispatch));
        builder.worker_threads(2).enable_time().on_thread_start(trace).build().expect("threads")
    }

    /// Runs a future on a thread of that runtime.
    fn run<F: Future<Output: Send> + Send + 'static>(&self, work: F) -> F::Output {
        let runtime = self.runtime();
        let work = runtime.spawn(work);
        runtime.block_on(work).expect("no panic")
    }
}

#[test]
fn a_task_that_outlives_the_function_that_spawned_it_is_in_its_transaction() {
    #[tracing::instrument]
    fn handler(done: oneshot::Receiver<()>) -> tokio::task::JoinHandle<()> {
        let background = async { drop(done.await) }.instrument(info_span!("background"));
        tokio::spawn(background)
    }
    let audited = Audited::new();
    audited.run(async {
        let (finish, done) = oneshot::channel();
        let background = handler(done);
        finish.send(()).expect("it waits");
        background.await.expect("no panic");
    });
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 1);
    assert_eq!((arrived[0].name(), arrived[0].below()), ("handler", vec!["background"]));
}

#[test]
fn a_flush_while_a_task_runs_loses_neither_the_task_nor_its_parent() {
    #[tracing::instrument]
    async fn step() {}
    #[tracing::instrument]
    async fn handler(half: oneshot::Sender<()>, done: oneshot::Receiver<()>) {
        step().await;
        half.send(()).expect("the test waits");
        let background = async {
            drop(done.await);
            step().await;
        };
        tokio::spawn(background.instrument(info_span!("background"))).await.expect("no panic");
    }
    let audited = Audited::new();
    let runtime = audited.runtime();
    let (half, at_half) = oneshot::channel();
    let (finish, done) = oneshot::channel();
    let work = runtime.spawn(handler(half, done));
    runtime.block_on(at_half).unwrap();
    assert_eq!(audited.settle().len(), 1, "the step that has ended, without its root");
    finish.send(()).unwrap();
    runtime.block_on(work).unwrap();
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    assert_eq!(named(&arrived, "handler").below(), ["background", "step"]);
    assert_eq!(named(&arrived, "step").trace()["parent_span_id"], named(&arrived, "handler").trace()["span_id"]);
}

#[test]
fn a_task_that_is_spawned_without_its_span_begins_a_trace() {
    #[tracing::instrument]
    async fn alone() {}
    #[tracing::instrument]
    async fn handler() {
        tokio::spawn(alone()).await.expect("no panic");
        tokio::spawn(alone().in_current_span()).await.expect("no panic");
    }
    let audited = Audited::new();
    audited.run(handler());
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    let (handler, alone) = (named(&arrived, "handler"), named(&arrived, "alone"));
    assert_ne!(alone.trace_id(), handler.trace_id());
    assert_eq!(alone.trace().get("parent_span_id"), None);
    assert_eq!(handler.below(), ["alone"]);
}

#[test]
fn spans_that_are_kept_in_a_struct_end_when_it_is_dropped() {
    struct Connection {
        _span: Span,
        _children: Vec<Span>,
    }
    let audited = Audited::new();
    let dispatch = audited.dispatch();
    let connection = dispatcher::with_default(&dispatch, || {
        let span = info_span!("connection");
        let children = (0..3).map(|_| info_span!(parent: &span, "stream")).collect();
        span.in_scope(|| info_span!("handshake").in_scope(|| {}));
        Connection { _span: span, _children: children }
    });
    assert_eq!(audited.ended().len(), 1, "the handshake");
    // The registry closes parents through the subscriber of the current thread.
    thread::spawn(move || dispatcher::with_default(&dispatch, || drop(connection))).join().unwrap();
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].below(), ["handshake", "stream", "stream", "stream"]);
}

#[test]
fn futures_that_are_dropped_in_the_middle_end_their_spans() {
    #[tracing::instrument]
    async fn forever() {
        future::pending::<()>().instrument(info_span!("deep inside")).await;
    }
    #[tracing::instrument]
    async fn handler() {
        timeout(Duration::ZERO, forever()).await.expect_err("it never ends");
        tokio::select! {
            biased;
            () = forever() => {}
            () = future::ready(()) => {}
        }
        let task = tokio::spawn(forever().in_current_span());
        tokio::task::yield_now().await;
        task.abort();
        task.await.expect_err("it was cancelled");
        drop(forever()); // never polled
    }
    let audited = Audited::new();
    audited.run(handler());
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].name(), "handler");
    let below = arrived[0].below();
    assert_eq!(below.iter().filter(|name| **name == "deep inside").count(), below.len() / 2, "{below:?}");
    assert!((4..=6).contains(&below.len()), "an aborted task may not have been polled: {below:?}");
}

#[test]
fn all_spans_of_a_cancelled_tree_of_futures_arrive() {
    #[tracing::instrument]
    async fn branch(depth: u32) {
        match depth {
            0 => future::pending().await,
            depth => {
                tokio::join!(Box::pin(branch(depth - 1)), Box::pin(branch(depth - 1)));
            }
        }
    }
    let audited = Audited::new();
    audited.run(async { timeout(Duration::ZERO, branch(4)).await.expect_err("it never ends") });
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].below().len(), 2 + 4 + 8 + 16);
}

#[test]
fn one_span_may_be_entered_on_several_threads_at_once() {
    let audited = Audited::new();
    let dispatch = audited.dispatch();
    dispatcher::with_default(&dispatch, || {
        let shared = info_span!("shared");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    dispatcher::with_default(&dispatch, || {
                        for _ in 0..25 {
                            shared.in_scope(|| info_span!("part").in_scope(|| info_span!("detail").in_scope(|| {})));
                        }
                    });
                });
            }
        });
    });
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 1);
    assert_eq!((arrived[0].name(), arrived[0].below().len()), ("shared", 200));
}

#[test]
fn dropping_the_last_clone_of_a_span_ends_it_on_any_thread() {
    let audited = Audited::new();
    let dispatch = audited.dispatch();
    let root = dispatcher::with_default(&dispatch, || info_span!("root"));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (root, dispatch) = (root.clone(), dispatch.clone());
            thread::spawn(move || {
                dispatcher::with_default(&dispatch, || info_span!(parent: &root, "child").in_scope(|| drop(root)));
            })
        })
        .collect();
    drop(root);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 1);
    assert_eq!((arrived[0].name(), arrived[0].below()), ("root", vec!["child"; 8]));
}

#[test]
fn a_function_that_panics_ends_its_spans() {
    #[tracing::instrument]
    async fn fails() {
        let _inner = info_span!("inner").entered();
        panic!("as the test wants");
    }
    #[tracing::instrument]
    async fn handler() {
        assert!(tokio::spawn(fails().in_current_span()).await.expect_err("a panic").is_panic());
    }
    #[tracing::instrument]
    fn blocks() {
        panic!("as the test wants");
    }
    let audited = Audited::new();
    audited.run(handler());
    let dispatch = audited.dispatch();
    thread::spawn(move || dispatcher::with_default(&dispatch, blocks)).join().unwrap_err();
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    assert_eq!(named(&arrived, "handler").below(), ["fails", "inner"]);
    assert_eq!(named(&arrived, "blocks").below(), [""; 0]);
}

#[test]
fn a_span_of_the_api_may_end_after_its_tracing_parent() {
    let audited = Audited::new();
    let tracer = audited.sentry.tracer_provider().tracer("test");
    let late = dispatcher::with_default(&audited.dispatch(), || {
        let root = info_span!("root");
        let parent = root.context();
        assert_ne!(parent.span().span_context().span_id(), SpanId::INVALID);
        Context::new().with_span(tracer.start_with_context("late", &parent))
    });
    audited.ingest.wait_for(1, PATIENCE).unwrap();
    late.span().end();
    let arrived = audited.settle();
    assert_eq!(arrived.len(), 2);
    assert!(named(&arrived, "late").is_late());
    assert_eq!(named(&arrived, "late").trace()["parent_span_id"], named(&arrived, "root").trace()["span_id"]);
    assert_eq!(arrived[0].header, arrived[1].header);
}
