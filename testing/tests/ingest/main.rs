//! `LocalIngest` against a client that is nothing but a socket.

mod answers;
mod check_ins;
mod compression;
mod containers;
mod framing;
mod http;
mod logs;
mod metrics;
mod otlp;
mod recording;
mod refusals;
mod support;
mod typed;
mod waiting;

use std::{error::Error, fmt::Debug};

use opentelemetry_sentry_testing::{Answer, Envelope, InvalidEnvelope, LocalIngest, RecordedRequest, WaitTimeout};

use self::support::{names, post_envelope, start, transaction};

#[test]
fn the_ingest_works_inside_an_async_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ingest = start();
        post_envelope(&ingest, &[], &transaction("inside"));
        assert_eq!(names(&ingest), ["inside"]);
    });
}

#[test]
fn public_types_can_be_shared_and_errors_are_errors() {
    fn shared<T: Send + Sync + Debug>() {}
    fn error<T: Error + Send + Sync + 'static>() {}
    shared::<LocalIngest>();
    shared::<Answer>();
    shared::<Envelope>();
    shared::<RecordedRequest>();
    error::<InvalidEnvelope>();
    error::<WaitTimeout>();
    let ingest = start();
    let dsn = format!("http://public@{}/1", ingest.address());
    assert_eq!(ingest.dsn(), dsn);
}
