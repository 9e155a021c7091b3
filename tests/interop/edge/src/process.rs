//! Processes that serve, on ports that are free.

use std::{collections::HashSet, env, path::Path, process::Stdio};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::PATIENCE;

/// A process that serves. It ends at the latest when this is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
}

impl Server {
    /// Starts the Worker in this folder.
    pub(crate) async fn worker(workerd: &Path, folder: &Path, variables: &[(&str, &str)]) -> Result<Self, String> {
        let mut command = Command::new(workerd);
        command.args(["serve", "config.capnp", "--socket-addr=http=127.0.0.1:0", "--control-fd=1"]);
        command.current_dir(folder).envs(variables.iter().copied()).stderr(Stdio::piped());
        Self::start(command, |line| {
            let port = serde_json::from_str::<Value>(line).ok()?["port"].as_u64()?;
            Some(format!("http://127.0.0.1:{port}"))
        })
        .await
    }

    /// Starts the shop. Its URL is that of the gateway.
    pub(crate) async fn shop(program: &Path, dsn: &str) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.arg("--serve").env("SENTRY_DSN", dsn);
        Self::start(command, |line| Some(line.strip_prefix("gateway")?.split_whitespace().next()?.to_owned())).await
    }

    async fn start(mut command: Command, find_url: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let failed = |what: &dyn ToString| format!("a server did not start: {}", what.to_string());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("SENTRY_") || name.starts_with("OTEL_")) {
            if !command.as_std().get_envs().any(|(key, _)| key == &*name) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| failed(&error))?;
        if let Some(errors) = process.stderr.take() {
            tokio::spawn(print_once(errors));
        }
        let output = process.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
        let mut lines = BufReader::new(output).lines();
        let url = timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.ok().flatten()?;
                if let Some(url) = find_url(&line) {
                    return Some(url);
                }
            }
        });
        let url = url.await.ok().flatten().ok_or_else(|| failed(&"it does not say where it listens"))?;
        // A pipe that is not read would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { process, url })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id().unwrap_or_default()
    }

    /// Ends a process that ends with its input. Whether it was successful.
    pub(crate) async fn close(mut self) -> bool {
        drop(self.process.stdin.take());
        matches!(timeout(PATIENCE, self.process.wait()).await, Ok(Ok(status)) if status.success())
    }
}

/// Prints what a process warns of, each line once: with many requests a Worker says the same hundreds of times.
async fn print_once(errors: ChildStderr) {
    let (mut lines, mut printed) = (BufReader::new(errors).lines(), HashSet::new());
    while let Ok(Some(line)) = lines.next_line().await {
        if !printed.contains(&line) {
            println!("{line}");
            printed.insert(line);
        }
    }
}
