//! What both programs do: they make traces of a service.
//!
//! | command | what it does | what it prints |
//! | --- | --- | --- |
//! | `rate <port> <traces a second> <seconds>` | makes traces at this rate, and shuts down within 2 s | the number of traces |
//! | `burst <port> <traces>` | makes traces at full speed, and shuts down within 2 s | the number of traces, and the shutdown's milliseconds |
//! | `cost <port> <traces a second> <seconds>` | as `rate` | CPU nanoseconds of the calling thread per span |

use std::{
    env, io, thread,
    time::{Duration, Instant},
};

use opentelemetry_sdk::trace::SdkTracer;
use rustix::time::{ClockId, clock_gettime};

use crate::service::{SPANS, Through};

/// The timeout of a shutdown: the default of both.
pub const SHUTDOWN: Duration = Duration::from_secs(2);

/// Runs the command. `set_up` returns a tracer that sends to the DSN, and a function that shuts down.
pub fn run<F: FnOnce()>(set_up: impl FnOnce(&str) -> io::Result<(SdkTracer, F)>) -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u32>().map_err(io::Error::other);
    let [command, port, rest @ ..] = &arguments[..] else { return Err(io::Error::other("see driver.rs")) };
    let (tracer, end) = set_up(&format!("http://public@127.0.0.1:{port}/1"))?;
    match (*command, rest) {
        ("rate", [rate, seconds]) => {
            let (made, _) = pour(&tracer, number(rate)?, number(seconds)?);
            end();
            println!("{made}");
        }
        ("burst", [traces]) => {
            let traces = number(traces)?;
            (0..traces).for_each(|_| Through::Api.make_trace(&tracer));
            let start = Instant::now();
            end();
            println!("{traces} {}", start.elapsed().as_millis());
        }
        ("cost", [rate, seconds]) => {
            pour(&tracer, number(rate)?, 1);
            let (made, spent) = pour(&tracer, number(rate)?, number(seconds)?);
            println!("{:.1}", spent.as_nanos() as f64 / (f64::from(made) * SPANS as f64));
            end();
        }
        _ => return Err(io::Error::other("see driver.rs")),
    }
    Ok(())
}

/// Makes `rate` traces a second for `seconds`. Returns the number of traces and the CPU time that they took.
fn pour(tracer: &SdkTracer, rate: u32, seconds: u32) -> (u32, Duration) {
    let start = Instant::now();
    let mut spent = Duration::ZERO;
    for number in 0..rate * seconds {
        let due = start + Duration::from_secs(1) * number / rate;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let before = cpu_time();
        Through::Api.make_trace(tracer);
        spent += cpu_time() - before;
    }
    (rate * seconds, spent)
}

/// The CPU time of this thread so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
