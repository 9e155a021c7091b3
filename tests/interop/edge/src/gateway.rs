//! A service behind the Worker that notes what it receives, and answers when the scene wants it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Path, State},
    http::HeaderMap,
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) url: String,
    /// The headers of the last request for each product.
    requests: Arc<Mutex<BTreeMap<String, HeaderMap>>>,
    changes: watch::Sender<()>,
    /// Whether products whose names begin with `slow` are answered.
    open: watch::Sender<bool>,
}

impl Gateway {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let gateway =
            Self { url, requests: Arc::default(), changes: watch::Sender::new(()), open: watch::Sender::new(false) };
        let router = Router::new().route("/products/{sku}", get(product)).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(gateway)
    }

    /// The header of the last request for this product.
    pub(crate) fn header(&self, sku: &str, name: &str) -> String {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let value = requests.get(sku).and_then(|headers| headers.get(name)?.to_str().ok());
        value.unwrap_or_default().to_owned()
    }

    /// Waits until this product was asked for.
    pub(crate) async fn asked_for(&self, sku: &str) {
        let asked = |_: &()| self.requests.lock().unwrap_or_else(PoisonError::into_inner).contains_key(sku);
        let _ = self.changes.subscribe().wait_for(asked).await; // the sender is in `self`
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn product(State(gateway): State<Gateway>, Path(sku): Path<String>, headers: HeaderMap) -> String {
    gateway.requests.lock().unwrap_or_else(PoisonError::into_inner).insert(sku.clone(), headers);
    gateway.changes.send_replace(());
    if sku.starts_with("slow") {
        let _ = gateway.open.subscribe().wait_for(|open| *open).await;
    }
    sku
}
