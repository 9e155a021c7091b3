//! Runs the wire cases of this folder; the README beside them describes their shapes.
//!
//! Case files are read strictly: a key that no field reads, a key that occurs twice in one object and a name that two
//! cases of a file share are errors, at any depth. The reader enforces this, so a case type needs no attribute for it.

mod joined;
mod json;
mod span;

use std::{
    collections::BTreeSet,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use serde::de::DeserializeOwned;

use self::json::Json;
pub use self::{
    joined::{Joined, TextOr},
    span::{Attributes, Kind},
};

/// Runs the cases of a file (its name without `.json`) and fails with the names of those that failed.
///
/// Runs all cases, or only the one that the environment variable `VECTOR` names.
///
/// # Panics
///
/// If a case fails, if the file is not read strictly (see above), or if no file has the case that `VECTOR` names.
pub fn each<C: DeserializeOwned>(file: &str, check: impl Fn(&C)) {
    let wanted = env::var("VECTOR").ok().filter(|name| !name.is_empty());
    match run(file, wanted.as_deref(), check) {
        Ok(failed) => assert!(failed.is_empty(), "failed cases of {file}.json: {failed:#?}"),
        Err(error) => panic!("{file}.json: {error}"),
    }
}

/// The names of the cases that fail; of all cases, or of the wanted one.
fn run<C: DeserializeOwned>(file: &str, wanted: Option<&str>, check: impl Fn(&C)) -> Result<Vec<String>, String> {
    let cases = read(&text_of(&folder().join(format!("{file}.json"))))?;
    let Some(wanted) = wanted else {
        return Ok(failures(cases.into_iter(), check));
    };
    if !is_in_any_file(wanted) {
        return Err(format!("no file has the case that VECTOR names: {wanted:?}"));
    }
    Ok(failures(cases.into_iter().filter(|(name, _)| name == wanted), check))
}

/// The names of the cases whose check panics.
fn failures<C>(cases: impl Iterator<Item = (String, C)>, check: impl Fn(&C)) -> Vec<String> {
    let fails = |case: &C| catch_unwind(AssertUnwindSafe(|| check(case))).is_err();
    cases.filter(|(_, case)| fails(case)).map(|(name, _)| name).collect()
}

/// The cases of a file with their names, in order, or what is wrong with the file.
fn read<C: DeserializeOwned>(text: &str) -> Result<Vec<(String, C)>, String> {
    let case = |(name, json): (String, Json)| match C::deserialize(json) {
        Ok(case) => Ok((name, case)),
        Err(error) => Err(format!("{name:?}: {error}")),
    };
    named(text)?.into_iter().map(case).collect()
}

/// The cases of a file without their names, by name.
fn named(text: &str) -> Result<Vec<(String, Json)>, String> {
    let cases: Vec<Json> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if cases.is_empty() {
        return Err("no case".to_owned());
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for (place, case) in (1..).zip(cases) {
        let (name, rest) = case.split_name().ok_or_else(|| format!("case {place} has no name"))?;
        if !names.insert(name.clone()) {
            return Err(format!("two cases are named {name:?}"));
        }
        all.push((name, rest));
    }
    Ok(all)
}

fn is_in_any_file(name: &str) -> bool {
    let folders = [folder().to_owned(), folder().join("modules")];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder of cases"));
    let entries = entries.map(|entry| entry.expect("an entry").path());
    let mut files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.any(|path| named(&text_of(&path)).is_ok_and(|cases| cases.iter().any(|(found, _)| found == name)))
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
