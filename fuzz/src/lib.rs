//! What the fuzz targets check. `propagator/tests/corpus.rs` runs the same checks on stable, over the corpus.

pub mod checks;
