//! What the layer asks of `sqlx`: it formats an event only if a subscriber wants it. All subscribers of a process are asked
//! together, so this test is alone in its process.

use opentelemetry_sentry::{Sentry, SentryBuilder};
use tracing::{Level, enabled};
use tracing_subscriber::prelude::*;

fn under(set: impl FnOnce(SentryBuilder) -> SentryBuilder, work: impl FnOnce()) {
    let sentry = set(Sentry::builder().with_dsn("").with_traces_sample_rate(1.0)).build().expect("a valid setup");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(sentry.tracing_layer()), work);
}

/// As `sqlx` asks before it formats a query.
fn is_wanted() -> bool {
    enabled!(target: "sqlx::query", Level::DEBUG)
}

#[test]
fn only_queries_are_wanted_at_debug_and_one_switch_turns_them_off() {
    under(|builder| builder.with_query_spans(false), || assert!(!is_wanted()));
    under(
        |builder| builder,
        || {
            assert!(is_wanted());
            assert!(!enabled!(target: "sqlx", Level::DEBUG));
            assert!(!enabled!(target: "sqlx::query::other", Level::DEBUG));
            assert!(!enabled!(target: "h2", Level::DEBUG));
        },
    );
    under(|builder| builder.with_query_spans(false), || assert!(!is_wanted()));
}
