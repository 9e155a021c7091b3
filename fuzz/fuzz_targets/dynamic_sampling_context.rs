//! `cargo +nightly fuzz run dynamic_sampling_context`

#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_sentry_fuzz::checks;

fuzz_target!(|input: &[u8]| checks::dynamic_sampling_context(input));
