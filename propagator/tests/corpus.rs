//! Runs the checks of all fuzz targets over `fuzz/corpus`, without a fuzzer.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

#[path = "../../fuzz/src/checks.rs"]
pub mod checks;

#[test]
fn every_seed_of_the_corpus_passes_its_check() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut targets: Vec<_> =
        entries(&corpus).into_iter().filter_map(|folder| folder.file_name()?.to_str().map(str::to_owned)).collect();
    targets.sort();
    assert_eq!(targets, checks::TARGETS.map(|(name, _)| name), "one folder for each target");
    for (name, check) in checks::TARGETS {
        let seeds = entries(&corpus.join(name));
        assert!(!seeds.is_empty(), "{name} has no seed");
        let fails = |seed: &&PathBuf| {
            let input = fs::read(seed).unwrap();
            catch_unwind(AssertUnwindSafe(|| check(&input))).is_err()
        };
        let failed: Vec<_> = seeds.iter().filter(fails).collect();
        assert!(failed.is_empty(), "these seeds of {name} failed: {failed:#?}");
    }
}

#[test]
fn every_fuzz_target_runs_its_check() {
    let targets = entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets"));
    let mut found: Vec<_> = targets.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
    found.sort_unstable();
    assert_eq!(found, checks::TARGETS.map(|(name, _)| name), "one file for each target");
    for (file, name) in targets.iter().filter_map(|file| Some((file, file.file_stem()?.to_str()?))) {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("checks::{name}(input)")), "{text}");
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("a readable folder").path()).collect()
}
