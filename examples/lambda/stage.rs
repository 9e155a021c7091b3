//! Runs the function on the platform, freezes it between invocations, and checks what arrives at an ingest.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use opentelemetry_sentry::exporter::testing::{Answer, LocalIngest};
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::platform::{API, Outcome, Platform};

/// How long anything may take here. A busy machine takes much less.
const PATIENCE: Duration = Duration::from_secs(60);

/// The spans of an invocation.
const SPANS: u64 = 2;

struct Stage {
    ingest: LocalIngest,
    platform: Platform,
    function: Child,
    /// The invocations so far, each with a trace of its own.
    traces: u64,
}

#[tokio::main]
pub(crate) async fn run(function: Command) -> Result<(), String> {
    let mut stage = Stage::start(function).await?;
    let done = timeout(PATIENCE, stage.play()).await.unwrap_or_else(|_| Err("it takes too long".to_owned()));
    // A function never ends by itself.
    let _ = stage.function.kill().await;
    done
}

impl Stage {
    async fn start(mut function: Command) -> Result<Self, String> {
        let ingest = LocalIngest::start().map_err(|error| error.to_string())?;
        let platform = Platform::start().await.map_err(|error| error.to_string())?;
        function
            .env(API, platform.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "stock")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("SENTRY_DSN", ingest.dsn())
            .env("SENTRY_RELEASE", "stock@1.2.3")
            .env("RUST_BACKTRACE", "0") // one invocation panics, as it should
            .env_remove("SENTRY_TUNNEL")
            .env_remove("SENTRY_SPOTLIGHT");
        let function = function.stdin(Stdio::null()).kill_on_drop(true).spawn().map_err(|error| error.to_string())?;
        Ok(Self { ingest, platform, function, traces: 0 })
    }

    async fn play(&mut self) -> Result<(), String> {
        self.invoke("lamp").await?.map_err(|error| error.to_string())?;
        self.check(self.whole() == 1, "the trace has arrived when the invocation has ended")?;

        self.freeze().await?;
        self.invoke("chair").await?.map_err(|error| error.to_string())?;
        self.check(self.whole() == 2, "after a freeze the next one is right and whole")?;

        let failed = [self.invoke("nothing").await?, self.invoke("panic").await?];
        self.check(failed.iter().all(Result::is_err), "the platform sees an error and a panic")?;
        self.check(self.whole() == 4, "their traces have arrived, too")?;

        self.ingest.answer_with(Answer::hang());
        self.invoke("table").await?.map_err(|error| error.to_string())?;
        self.check(self.whole() == 4, "a server that never answers: the invocation ends within its budget")?;

        self.freeze().await?;
        self.ingest.answer_with(Answer::ok());
        let account = self.invoke("bed").await?.map_err(|error| error.to_string())?;
        let text = account["report"].as_str().unwrap_or_default();
        self.check(text.contains("not everything was delivered"), "the function gets a report of what is left")?;
        self.check(account["pending"] == SPANS && account["lost"] == 0, "nothing is lost, and one trace waits")?;

        let account = self.until_nothing_waits().await?;
        let received = account["received"].as_u64().unwrap_or_default();
        self.check(account["sent"] == received && account["lost"] == 0, "later invocations deliver it")?;
        self.check(received == SPANS * (self.traces - 1), "received = sent, over all invocations before")?;
        self.check(self.whole() == self.traces, "every trace is whole, and has arrived once")
    }

    /// Invokes the function with a trace of its own, and returns what it answers.
    async fn invoke(&mut self, sku: &str) -> Result<Outcome, String> {
        self.traces += 1;
        let trace = format!("{:032x}-b0e6f15b45c36b12-1", self.traces);
        self.platform.invoke(json!({"sku": sku, "headers": {"sentry-trace": trace}})).await?;
        self.platform.outcome().await
    }

    /// Freezes the function as its platform does, once it has nothing to do, and thaws it.
    ///
    /// It takes no time here. That time has passed meanwhile is an argument in the exporter's own tests.
    async fn freeze(&mut self) -> Result<(), String> {
        self.platform.until_idle().await?;
        let id = self.function.id().ok_or("the function has ended")?.to_string();
        signal("-STOP", &id).await?;
        let since = Instant::now();
        while !is_stopped(&id) {
            self.check(since.elapsed() < PATIENCE, "it stops")?;
            tokio::task::yield_now().await;
        }
        signal("-CONT", &id).await
    }

    /// Invokes the function until it has nothing left to deliver. Returns what it says then.
    async fn until_nothing_waits(&mut self) -> Result<Value, String> {
        loop {
            let account = self.invoke("lamp").await?.map_err(|error| error.to_string())?;
            if account["pending"] == 0 {
                return Ok(account);
            }
        }
    }

    /// How many traces have arrived as a whole.
    fn whole(&self) -> u64 {
        let whole = |event: &Value| event["spans"].as_array().is_some_and(|spans| spans.len() as u64 == SPANS - 1);
        self.ingest.transactions().into_iter().filter(whole).count() as u64
    }

    fn check(&self, is_so: bool, what: &str) -> Result<(), String> {
        let requests = self.ingest.requests().len();
        if is_so {
            println!("✓ {what}");
            Ok(())
        } else {
            Err(format!("✗ {what} ({} whole traces, {requests} requests)", self.whole()))
        }
    }
}

async fn signal(name: &str, process: &str) -> Result<(), String> {
    let done = Command::new("kill").args([name, process]).status().await.map_err(|error| error.to_string())?;
    if done.success() { Ok(()) } else { Err(format!("kill {name}: {done}")) }
}

/// Whether the system says that a process is stopped. Only Linux says it in a file.
fn is_stopped(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat"));
    status.map_or(true, |status| status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')))
}
