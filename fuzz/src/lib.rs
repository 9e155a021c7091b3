//! The checks of the fuzz targets. `propagator/tests/corpus.rs` runs them over the corpus with stable Rust, as a smoke test:
//! `cargo test -p opentelemetry-sentry-propagator --test corpus`.

pub mod checks;
