//! A service as a process of its own: this program, started again with a role.

use std::{env, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::service::Report;

/// How long a service may take to start and to end. A busy machine takes much less.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service. It ends when its standard input is closed, so it does not outlive this process.
#[derive(Debug)]
pub(crate) struct Process {
    role: &'static str,
    url: String,
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts the service, and waits until it listens.
    pub(crate) async fn start(role: &'static str, variables: &[(&str, &str)]) -> Result<Self, String> {
        let failed = |error| format!("{role} did not start: {error}");
        let program = env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command
            .arg(role)
            .env("OTEL_SERVICE_NAME", role)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
        let output = child.stdout.take().ok_or_else(|| format!("{role} has no output"))?;
        let mut process = Self { role, url: String::new(), child, output: BufReader::new(output).lines() };
        process.url = process.line("its URL").await?;
        Ok(process)
    }

    pub(crate) const fn role(&self) -> &'static str {
        self.role
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Makes the service end, and reads its report.
    pub(crate) async fn stop(mut self) -> Result<Report, String> {
        drop(self.child.stdin.take());
        let line = self.line("its report").await?;
        serde_json::from_str(&line).map_err(|error| format!("the report of {} is {line:?}: {error}", self.role))
    }

    async fn line(&mut self, what: &str) -> Result<String, String> {
        let role = self.role;
        match timeout(PATIENCE, self.output.next_line()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => {
                let status = timeout(PATIENCE, self.child.wait()).await;
                let status = status.ok().and_then(Result::ok).map(|status| format!(" ({status})"));
                Err(format!("{role} ended before it printed {what}{}", status.unwrap_or_default()))
            }
            Ok(Err(error)) => Err(format!("{role} could not print {what}: {error}")),
            Err(_) => Err(format!("{role} did not print {what} within {PATIENCE:?}")),
        }
    }
}
