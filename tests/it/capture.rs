//! `testing::capture`, in one process of its own: it takes the globals.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
    thread,
};

use http::{Request, Response};
use opentelemetry::{
    global::{self, BoxedTracer},
    trace::Tracer,
};
use opentelemetry_sentry::testing::capture;
use tower::{Layer, ServiceExt, service_fn};
use tower_otel::trace::HttpLayer;
use tracing::Level;

use crate::support::run_alone;

/// Kept by the application, as some do.
static TRACER: LazyLock<BoxedTracer> = LazyLock::new(|| global::tracer("app"));

#[test]
fn closures_are_captured_one_by_one_with_middleware_that_uses_the_globals() {
    run_alone("capture::alone", &[]);
}

#[test]
#[ignore = "takes the globals; the test before runs it in a process of its own"]
fn alone() {
    each_capture_has_only_what_its_closure_sent();
    lines_and_jobs_are_captured_too();
    middleware_continues_the_trace_on_all_threads();
    a_closure_that_panics_leaves_nothing_behind();
    a_capture_inside_of_another_panics_and_does_not_hang();
    a_lost_capture_of_the_globals_is_taken_back();
}

fn each_capture_has_only_what_its_closure_sent() {
    let capture_one = |number: usize| {
        let name = format!("job {number}");
        let sent = capture(|| TRACER.in_span(name.clone(), |_| tracing::info_span!("step").in_scope(|| ())));
        let names: Vec<_> = sent.transactions.iter().map(|transaction| &transaction.name).collect();
        assert_eq!(names, [&name]);
        assert_eq!(sent.transaction(&name).span("step").parent_span_id.as_ref(), Some(&sent.transactions[0].span_id));
    };
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || capture_one(number));
        }
    });
}

fn lines_and_jobs_are_captured_too() {
    let work = || {
        let job = tracing::info_span!("job", sentry.monitor.slug = "nightly");
        job.in_scope(|| tracing::info!(lamps = 2_u64, "counted"));
        tracing::info!("outside of any span");
        tracing::debug!("below the level of the layer");
    };
    for _ in 0..2 {
        let sent = capture(work);
        assert_eq!(sent.logs.len(), 2, "{:?}", sent.logs);
        let counted = sent.log("counted");
        assert_eq!(counted.span_id.as_ref(), Some(&sent.transaction("job").span_id));
        assert_eq!((&counted.attributes["lamps"], sent.log("outside").span_id.as_ref()), (&2.into(), None));
        let statuses: Vec<_> = sent.check_ins.iter().map(|one| one.status.as_str()).collect();
        assert_eq!(statuses, ["in_progress", "ok"]);
    }
}

fn middleware_continues_the_trace_on_all_threads() {
    const TRACE: &str = "771a43a4192642f0b136d5159a501700";
    let sent = capture(|| {
        let handler = service_fn(async |_: Request<String>| {
            tracing::error_span!("charge").in_scope(|| {
                tracing::error!(error = &std::io::Error::other("no funds") as &dyn std::error::Error, "refused");
            });
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let server = HttpLayer::server(Level::INFO).layer(handler);
        let request = Request::get("/pay").header("sentry-trace", format!("{TRACE}-7c7c2e6c5e1c4b0a-1"));
        let request = request.body(String::new()).expect("a request");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        // On a thread that has no subscriber of its own.
        let task = runtime.spawn(async move { server.oneshot(request).await.map(|_| ()) });
        runtime.block_on(task).expect("no panic").expect("an answer");
    });
    let [request] = &sent.transactions[..] else { panic!("{:?}", sent.transactions) };
    assert_eq!((request.trace_id.as_str(), request.op.as_deref()), (TRACE, Some("http.server")));
    assert_eq!(sent.error("no funds").span_id, request.span("charge").span_id);
    assert_eq!(sent.errors.len(), 1);
    assert_eq!(sent.log("refused").trace_id, TRACE);
}

fn a_closure_that_panics_leaves_nothing_behind() {
    let panics = || capture(|| TRACER.in_span("before", |_| panic!("a test that fails")));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(capture(|| ()).transactions.len(), 0);
}

fn a_capture_inside_of_another_panics_and_does_not_hang() {
    for _ in 0..2 {
        assert!(catch_unwind(|| capture(|| capture(|| ()))).is_err());
    }
    assert_eq!(capture(|| ()).transactions.len(), 0);
}

fn a_lost_capture_of_the_globals_is_taken_back() {
    global::set_tracer_provider(opentelemetry_sdk::trace::SdkTracerProvider::default());
    let sent = capture(|| global::tracer("other").in_span("work", |_| ()));
    assert_eq!(sent.transaction("work").status, "ok");
}
