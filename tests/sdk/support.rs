//! A client of the `sentry` crate whose envelopes go to a local ingest.

use std::{sync::Arc, time::Duration};

use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest, sentry_sdk::TraceIntegration};
use sentry::{
    Client, ClientOptions, Hub, Transport, TransportFactory, TransportOptions,
    transports::{ReqwestHttpTransport, ReqwestHttpTransportOptions},
};
use serde_json::Value;

/// Only a test that hangs waits this long, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The real transport, without a proxy that the machine may have.
struct WithoutProxy;

impl TransportFactory for WithoutProxy {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let transport: ReqwestHttpTransport = ReqwestHttpTransportOptions::from(options).with_client(http).build();
        Arc::new(transport)
    }
}

pub(crate) fn client(ingest: &LocalIngest) -> Arc<Client> {
    client_with(ingest, |options| {
        options
            .add_integration(TraceIntegration::new())
            .add_integration(sentry::integrations::panic::PanicIntegration::default())
    })
}

pub(crate) fn client_with(ingest: &LocalIngest, set_up: impl FnOnce(ClientOptions) -> ClientOptions) -> Arc<Client> {
    Arc::new(Client::from((ingest.dsn(), set_up(ClientOptions::new().transport(WithoutProxy)))))
}

/// A new hub with an empty scope.
pub(crate) fn hub(client: &Arc<Client>) -> Arc<Hub> {
    Arc::new(Hub::new(Some(Arc::clone(client)), Arc::default()))
}

/// A `Sentry` that records spans and sends nothing.
pub(crate) fn spans() -> Sentry {
    Sentry::builder().with_dsn("").with_traces_sample_rate(1.0).build().expect("a set-up")
}

/// The error events that arrived, once there are at least `count`.
pub(crate) fn events(ingest: &LocalIngest, count: usize) -> Vec<Value> {
    ingest.wait_until(PATIENCE, |_| ingest.errors().len() >= count).expect("they arrive");
    ingest.errors()
}
