//! Counts claims, and prints those that do not hold.

use std::{fmt::Debug, process::ExitCode};

#[derive(Default)]
pub(crate) struct Claims {
    count: usize,
    failed: usize,
}

impl Claims {
    pub(crate) fn same<T: Debug + PartialEq<U>, U: Debug>(&mut self, claim: &str, found: T, wanted: U) {
        self.count += 1;
        if found != wanted {
            self.failed += 1;
            println!("edge: {claim}: expected {wanted:?}, found {found:?}");
        }
    }

    pub(crate) fn holds(&mut self, claim: &str, found: bool) {
        self.same(claim, found, true);
    }

    /// Prints the last line.
    pub(crate) fn close(self) -> ExitCode {
        let verdict = if self.failed == 0 { "ok".to_owned() } else { format!("{} FAILED", self.failed) };
        println!(
            "edge: {} claims: page, Worker and services in one trace, DSC, unsampled traces, 300 requests at a time, rate limits, outages, \
             @sentry/cloudflare on both sides, a command for WASI: {verdict}",
            self.count
        );
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
