//! `cargo +nightly fuzz run traceparent`

#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_sentry_fuzz::checks;

fuzz_target!(|input: &[u8]| checks::traceparent(input));
