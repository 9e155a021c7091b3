//! One envelope's way out, and what the answer means.
//!
//! | answer | outcome |
//! | --- | --- |
//! | 2xx | delivered |
//! | 429 | dropped: rate limited |
//! | other 4xx and 5xx | dropped: refused |
//! | 3xx, none, none in time | dropped: network error |

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::otel_warn;
use opentelemetry_http::{Bytes, HttpClient, Request};
use tokio::time::timeout;

use super::{Destination, Destinations};
use crate::{envelope::Envelope, loss::DropReason};

/// How long one request may take, from its first byte to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends an envelope to Sentry, and a copy to Spotlight; what counts is whether it reached Sentry.
pub(super) async fn deliver(
    client: Arc<dyn HttpClient>,
    destinations: Arc<Destinations>,
    envelope: Envelope,
) -> Result<(), DropReason> {
    let Destinations { sentry, spotlight } = &*destinations;
    let to_spotlight = async {
        match spotlight {
            Some(spotlight) => send(client.as_ref(), spotlight, &envelope).await,
            None => Ok(()),
        }
    };
    match sentry {
        Some(sentry) => tokio::join!(send(client.as_ref(), sentry, &envelope), to_spotlight).0,
        None => to_spotlight.await,
    }
}

async fn send(client: &dyn HttpClient, destination: &Destination, envelope: &Envelope) -> Result<(), DropReason> {
    let request = destination.request(envelope, SystemTime::now()).map_err(|_| DropReason::InternalSdkError)?;
    post(client, request).await
}

/// Sends one request and reads its status.
async fn post(client: &dyn HttpClient, request: Request<Bytes>) -> Result<(), DropReason> {
    let status = match timeout(REQUEST_TIMEOUT, client.send_bytes(request)).await {
        Ok(Ok(response)) => response.status().as_u16(),
        Ok(Err(error)) => {
            otel_warn!(name: "SentryExporter.RequestFailed", message = error.to_string());
            return Err(DropReason::NetworkError);
        }
        Err(_) => {
            otel_warn!(name: "SentryExporter.RequestTimedOut");
            return Err(DropReason::NetworkError);
        }
    };
    if !(200..300).contains(&status) {
        otel_warn!(name: "SentryExporter.Refused", status = u64::from(status));
    }
    match status {
        200..=299 => Ok(()),
        // A redirect leads to somebody else.
        300..=399 => Err(DropReason::NetworkError),
        429 => Err(DropReason::RateLimited),
        _ => Err(DropReason::SendError),
    }
}
