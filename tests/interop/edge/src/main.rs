//! `edge WORKERD WORKER NEIGHBOUR SHOP PYTHON COMMAND`: starts the page and the Worker of examples/edge beside other
//! services, and judges what they send. WORKERD is the runtime, WORKER and NEIGHBOUR are folders with a `config.capnp` for
//! it, SHOP is the shop's program, PYTHON has wasmtime, and COMMAND is a module for WASI.
#![expect(clippy::print_stdout, reason = "it prints its findings")]

mod arrived;
mod claims;
mod command;
mod cost;
mod gateway;
mod journey;
mod many;
mod neighbours;
mod outage;
mod process;

use std::{env, error::Error, path::PathBuf, process::ExitCode, time::Duration};

use claims::Claims;

/// Only a fault makes a scene wait this long.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome = Result<(), Box<dyn Error>>;

/// What the scenes start.
struct Programs {
    workerd: PathBuf,
    worker: PathBuf,
    neighbour: PathBuf,
    shop: PathBuf,
    python: PathBuf,
    command: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let paths: Vec<_> = env::args().skip(1).map(PathBuf::from).collect();
    let Ok([workerd, worker, neighbour, shop, python, command]) = <[PathBuf; 6]>::try_from(paths) else {
        println!("usage: edge WORKERD WORKER NEIGHBOUR SHOP PYTHON COMMAND");
        return ExitCode::FAILURE;
    };
    let programs = Programs { workerd, worker, neighbour, shop, python, command };
    let mut claims = Claims::default();
    if let Err(error) = play(&programs, &mut claims).await {
        println!("edge: {error}");
        return ExitCode::FAILURE;
    }
    claims.close()
}

async fn play(programs: &Programs, claims: &mut Claims) -> Outcome {
    journey::play(programs, claims).await?;
    many::play(programs, claims).await?;
    outage::play(programs, claims).await?;
    neighbours::play(programs, claims).await?;
    command::play(programs, claims).await?;
    if env::var_os("FIGURES").is_some() {
        cost::print(programs).await?;
    }
    Ok(())
}
