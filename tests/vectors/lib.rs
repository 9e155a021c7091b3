//! Runs the wire cases of this folder; the README beside them describes their shapes.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Deserialize, de::DeserializeOwned};

/// Runs every case of a file (its name without `.json`), and fails with the names of those that failed.
///
/// # Panics
///
/// If a case fails, or if there is none.
pub fn each<C: DeserializeOwned>(file: &str, check: impl Fn(&C)) {
    let path = format!("{}/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let cases: Vec<Named<C>> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(!cases.is_empty(), "{path} has no case");
    let fails = |named: &&Named<C>| catch_unwind(AssertUnwindSafe(|| check(&named.case))).is_err();
    let failed: Vec<_> = cases.iter().filter(fails).map(|named| &named.name).collect();
    assert!(failed.is_empty(), "of {path} failed: {failed:#?}");
}

#[derive(Deserialize)]
struct Named<C> {
    name: String,
    #[serde(flatten)]
    case: C,
}
