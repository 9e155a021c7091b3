//! Counts instructions: this process runs itself under valgrind.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// The instructions of the main thread and of all threads, when this program runs with these arguments.
///
/// # Panics
///
/// If valgrind is not installed or the run fails.
#[must_use]
pub fn counted(arguments: &[&str]) -> [f64; 2] {
    let out = env::temp_dir().join(format!("instructions-{}.callgrind", process::id()));
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--separate-threads=yes", "-q"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(env::current_exe().expect("a path")).args(arguments);
    let status = command.status().expect("valgrind is installed");
    assert!(status.success(), "{command:?}: {status}");
    // valgrind writes a file for each thread and one for all, which is empty.
    let files = (1..).map(|thread: usize| PathBuf::from(format!("{}-{thread:02}", out.display())));
    let totals: Vec<_> = files
        .take_while(|file| file.exists())
        .map(|file| {
            let total = total(&file);
            let _ = fs::remove_file(file);
            total
        })
        .collect();
    let _ = fs::remove_file(out);
    [totals[0], totals.iter().sum()]
}

fn total(file: &Path) -> f64 {
    let text = fs::read_to_string(file).expect("valgrind wrote it");
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"));
    line.and_then(|number| number.trim().parse().ok()).expect("a total")
}
