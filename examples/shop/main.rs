//! Two services and a browser in one distributed trace, from the page load to the database.
//!
//! `cargo run --example shop` needs no Sentry account. The program starts itself twice more, as the services [`gateway`]
//! and [`inventory`]. It receives what they send to Sentry on a local ingest, prints each trace as a waterfall, and checks
//! that nothing is missing. Start reading in [`service`], which does what your `main` would do.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

mod browser;
mod database;
mod gateway;
mod inventory;
mod judge;
mod page;
mod paint;
mod process;
mod service;
mod shop;
mod trace;
mod waterfall;

use std::{env, error::Error, process::ExitCode};

const HELP: &str = "\
Two services and a browser, traced from end to end with opentelemetry-sentry.

Usage: cargo run --example shop [-- --serve]

  --serve   keep the services running and print how to call them
  --help    print this

  SENTRY_DSN          send to this DSN instead of to a local ingest
  SENTRY_ENVIRONMENT  the services' environment (default: demo)
  SENTRY_TRACE_LIFECYCLE  static: send transactions (the default); stream: send streamed spans
  SENTRY_SPOTLIGHT    also send to Spotlight, Sentry's local viewer
  SHOP_BROWSER_BUNDLE the file of a @sentry/browser bundle, for the page at /
  NO_COLOR            print without colours
  CLICOLOR_FORCE      print colours to a file, too";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => shop::visit().await,
        ["--serve"] => shop::serve().await,
        // The roles in which the program starts itself.
        ["gateway"] => code("gateway", gateway::main().await),
        ["inventory"] => code("inventory", inventory::main().await),
        ["--help" | "-h"] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("shop: unknown arguments: {:?}\n\n{HELP}", arguments.join(" "));
            ExitCode::from(2)
        }
    }
}

fn code(role: &str, result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{role}: {error}");
            ExitCode::FAILURE
        }
    }
}
