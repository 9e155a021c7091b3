//! `cargo +nightly fuzz run sentry_trace`

#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_sentry_fuzz::checks;

fuzz_target!(|input: &[u8]| checks::sentry_trace(input));
