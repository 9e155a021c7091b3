//! What it costs a Worker to trace a request. The figures are printed and not judged, because a busy machine changes them.
#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::{
    error::Error,
    fs,
    time::{Duration, Instant},
};

use opentelemetry_sentry_testing::LocalIngest;
use reqwest::Client;

use crate::{Outcome, Programs, gateway::Gateway, process::Server};

const WARM_UP: usize = 200;
const REQUESTS: usize = 800;
/// Linux counts a process's time in hundredths of a second.
const TICK: f64 = 10.0;

/// Two Workers answer in turns, one of which has no Sentry.
pub(crate) async fn print(programs: &Programs) -> Outcome {
    let (ingest, gateway) = (LocalIngest::start()?, Gateway::start().await?);
    let start = |variables| Server::worker(&programs.workerd, &programs.worker, variables);
    let dsn = ingest.dsn();
    let both = [("GATEWAY", &*gateway.url), ("SENTRY_DSN", &dsn)];
    let workers = [start(&both[..1]).await?, start(&both).await?];
    let client = Client::builder().no_proxy().build()?;
    let (mut times, mut used) = ([const { Vec::new() }; 2], [0.0; 2]);
    for number in 0..WARM_UP + REQUESTS {
        if number == WARM_UP {
            times = [const { Vec::new() }; 2];
            used = [processor(&workers[0])?, processor(&workers[1])?];
        }
        for (worker, times) in workers.iter().zip(&mut times) {
            let asked = Instant::now();
            client.get(format!("{}/products/lamp", worker.url)).send().await?.bytes().await?;
            times.push(asked.elapsed());
        }
    }
    let [without, with] = times.map(median);
    let [idle, busy] =
        [processor(&workers[0])? - used[0], processor(&workers[1])? - used[1]].map(|all| all / REQUESTS as f64);
    println!("edge: a request takes {without:.2} ms, and {with:.2} ms if it is traced");
    println!("edge: workerd has the processor for {idle:.2} ms, and for {busy:.2} ms if it is traced and sent");
    Ok(())
}

/// Milliseconds that a process has had of the processor.
fn processor(worker: &Server) -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", worker.id()))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 * TICK)
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
