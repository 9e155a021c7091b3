//! A client of the `sentry` crate whose envelopes go to a local ingest.

use std::{sync::Arc, time::Duration};

use opentelemetry_sentry::{Sentry, exporter::testing::LocalIngest, sentry_sdk::TraceIntegration};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use sentry::{
    Client, ClientOptions, Hub, Transport, TransportFactory, TransportOptions,
    transports::{ReqwestHttpTransport, ReqwestHttpTransportOptions},
};
use serde_json::Value;

/// Long enough for a busy machine; nothing waits for it unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The real transport. Its requests have no content type, without which the ingest takes nothing.
struct WithContentType;

impl TransportFactory for WithContentType {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        let envelope = HeaderValue::from_static("application/x-sentry-envelope");
        let http =
            reqwest::Client::builder().no_proxy().default_headers(HeaderMap::from_iter([(CONTENT_TYPE, envelope)]));
        let options = ReqwestHttpTransportOptions::from(options).with_client(http.build().expect("a client"));
        let transport: ReqwestHttpTransport = options.build();
        Arc::new(transport)
    }
}

pub(crate) fn client(ingest: &LocalIngest) -> Arc<Client> {
    let options = ClientOptions::new()
        .transport(WithContentType)
        .add_integration(TraceIntegration::new())
        .add_integration(sentry::integrations::panic::PanicIntegration::default());
    Arc::new(Client::from((ingest.dsn(), options)))
}

/// A hub that nobody made before.
pub(crate) fn hub(client: &Arc<Client>) -> Arc<Hub> {
    Arc::new(Hub::new(Some(Arc::clone(client)), Arc::default()))
}

/// Sentry that sends nothing anywhere: only its spans are wanted.
pub(crate) fn spans() -> Sentry {
    Sentry::builder().with_dsn("").with_traces_sample_rate(1.0).build().expect("a set-up")
}

/// All items of a type that arrived.
pub(crate) fn items(ingest: &LocalIngest, item_type: &str) -> Vec<Value> {
    let envelopes = ingest.envelopes();
    let items = envelopes.iter().flat_map(|envelope| envelope.items());
    items.filter(|item| item.item_type() == item_type).map(|item| item.json().expect("JSON")).collect()
}

/// The events that arrived, once there are so many.
pub(crate) fn events(ingest: &LocalIngest, count: usize) -> Vec<Value> {
    ingest.wait_until(PATIENCE, |_| items(ingest, "event").len() >= count).expect("they arrive");
    items(ingest, "event")
}
