//! A function on AWS Lambda's runtime, with Sentry on the engine without a thread: `cargo run --example lambda`.
//!
//! | file | contains |
//! | --- | --- |
//! | `function` | the function: what you would deploy |
//! | `platform` | a stand-in of the runtime's API, by which the function gets its events |
//! | `stage` | starts both and an ingest, freezes the function between invocations, and checks what arrives |

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

mod function;
mod platform;
mod stage;

use std::{env, process::ExitCode};

use tokio::process::Command;

fn main() -> ExitCode {
    // The platform sets it for a function.
    let done = if env::var_os(platform::API).is_some() {
        function::run().map_err(|error| error.to_string())
    } else {
        env::current_exe().map_err(|error| error.to_string()).and_then(|program| stage::run(Command::new(program)))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "the function of the test below"]
    fn runs_as_a_function() {
        function::run().unwrap();
    }

    #[test]
    fn a_function_that_is_frozen_between_invocations_delivers_each_as_a_whole() {
        let mut function = Command::new(env::current_exe().unwrap());
        function.args(["--exact", "tests::runs_as_a_function", "--ignored", "--nocapture", "--test-threads=1"]);
        stage::run(function).unwrap();
    }
}
