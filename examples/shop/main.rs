//! Two services and a browser: one distributed trace, from the page load to the database.
//!
//! `cargo run --example shop` needs no account. It starts itself again as two services, [`gateway`] and [`inventory`],
//! receives what they send to Sentry on an ingest of its own, prints each trace as a waterfall, and judges whether
//! everything is whole. Start to read in [`service`], which is what your `main` would do.
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

  --serve   keep the services running, and print how to call them
  --help    print this

  SENTRY_DSN          send there, instead of to an ingest of its own
  SENTRY_ENVIRONMENT  the services' environment (default: demo)
  SENTRY_SPOTLIGHT    send to Sentry's local viewer, too
  SHOP_BROWSER_BUNDLE a bundle of @sentry/browser, for the page at /
  NO_COLOR            no colours
  CLICOLOR_FORCE      colours, and be it in a file";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => shop::visit().await,
        ["--serve"] => shop::serve().await,
        // How this program starts itself again.
        ["gateway"] => code("gateway", gateway::main().await),
        ["inventory"] => code("inventory", inventory::main().await),
        ["--help" | "-h"] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("shop: {:?} is not something it knows\n\n{HELP}", arguments.join(" "));
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
