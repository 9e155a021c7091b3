//! What the candidates other than ours share: they have only OpenTelemetry's own parts for `tracing`.

use opentelemetry_sdk::trace::SdkTracer;
use tracing::Dispatch;
use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};

/// A subscriber that gives spans the same attributes as ours does.
pub fn dispatch(tracer: &SdkTracer) -> Dispatch {
    let layer = tracing_opentelemetry::layer().with_tracer(tracer.clone());
    let layer = layer.with_threads(false).with_tracked_inactivity(false).with_target(false);
    Dispatch::new(tracing_subscriber::registry().with(layer.with_filter(LevelFilter::INFO)))
}
