//! The page: it asks the Worker for a product.

use opentelemetry_sentry::Take;
use tracing::{Instrument, info_span};
use wasm_bindgen::prelude::*;

use crate::{deliver, fetch};

/// Loads the product from this URL, and returns what the page shows.
#[wasm_bindgen]
pub async fn load(url: String) -> String {
    let span = info_span!("page", otel.name = "/", sentry.op = "pageload");
    let product = async { fetch::get(&url).await }.instrument(span).await; // ends with its future
    deliver(Take::Everything).await;
    match product {
        Ok(response) => String::from_utf8_lossy(response.body()).into_owned(),
        Err(error) => error.to_string(),
    }
}
