//! rig asks a model, which a local server simulates.

use std::env;

use opentelemetry_sentry::TraceLifecycle;
use rig_core::{completion::CompletionRequest, providers::openai::OpenAI};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{Claim, Failure, same, sent};

/// What the model answers.
fn answer() -> String {
    let message = json!({
        "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{ "type": "output_text", "text": "rain", "annotations": [] }],
    });
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "model": "gpt-4o-2024",
        "output": [message], "tools": [], "usage": { "input_tokens": 12, "output_tokens": 5, "total_tokens": 17,
        "input_tokens_details": { "cached_tokens": 0 }, "output_tokens_details": { "reasoning_tokens": 0 } },
    })
    .to_string()
}

async fn serve(listener: TcpListener) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        one(stream).await?;
    }
}

/// Reads one request, and answers it.
async fn one(mut stream: TcpStream) -> Result<(), Failure> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut part = [0; 4096];
        let length = stream.read(&mut part).await?;
        if length == 0 {
            return Ok(());
        }
        request.extend_from_slice(&part[..length]);
    }
    let body = answer();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    Ok(())
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

async fn ask() -> Result<(), Failure> {
    let request = CompletionRequest::new("Will it rain?");
    let response = OpenAI::from_env()?.completion("gpt-4o").call(request).await?;
    if response.text() != "rain" {
        return Err(format!("the model answered {:?}", response.text()).into());
    }
    Ok(())
}

pub(crate) async fn claims() -> Result<Vec<Claim>, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/v1", listener.local_addr()?);
    // SAFETY: the process has one thread that reads or writes the environment, and it is this one.
    unsafe {
        env::set_var("OPENAI_API_KEY", "none");
        env::set_var("OPENAI_BASE_URL", url);
    }
    let server = tokio::spawn(serve(listener));
    let mut claims = Vec::new();
    for lifecycle in [TraceLifecycle::Transactions, TraceLifecycle::Stream] {
        let ingest = sent(lifecycle, ask()).await?;
        let chat = ingest.span("chat gpt-4o");
        let value = |key: &str| chat.json["attributes"][key]["value"].clone();
        claims.push(same("rig: the op", chat.op.as_deref(), Some("gen_ai.chat")));
        for (key, wanted) in [
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("openai")),
            ("gen_ai.request.model", json!("gpt-4o")),
            ("gen_ai.response.model", json!("gpt-4o-2024")),
            ("gen_ai.usage.input_tokens", json!(12)),
            ("gen_ai.usage.output_tokens", json!(5)),
        ] {
            claims.push(same(&format!("rig, {lifecycle:?}: {key}"), value(key), wanted));
        }
    }
    server.abort();
    Ok(claims)
}
