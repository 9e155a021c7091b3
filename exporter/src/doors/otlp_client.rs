//! The door for OpenTelemetry's own OTLP exporters.

use std::{fmt, future, io::Read, pin::Pin, sync::Arc, time::Duration};

use flate2::read::MultiGzDecoder;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

use super::sharing::shares_engine;
use crate::{
    account::Stats,
    engine::{Engine, FlushError},
    packing::{OtlpForm, OtlpFormat, OtlpParts, OtlpSignal},
};

/// The most bytes of a body after decompression, as in `opentelemetry-otlp`.
const MAX_BODY: usize = 64 << 20;

/// The HTTP client of an OTLP exporter that sends to Sentry.
///
/// OTLP's exporters ask the server a few times within seconds and then drop a batch without a trace; they drop it at once
/// when Sentry answers with its usual `Retry-After: 60`. This client takes each batch at once and sends it on the exporter's
/// thread, as envelopes are sent: it obeys rate limits, waits through outages, keeps what waits on disk
/// ([`with_spool_dir`](crate::SentryExporterBuilder::with_spool_dir)), and counts every span and log, so that
/// [`Stats`] add up. It needs no runtime.
///
/// The batches go to the project of the exporter's DSN. Of the exporter's endpoint only the end counts, `/v1/traces` or
/// `/v1/logs`; its headers are ignored. They go to Sentry itself also if there is a tunnel, which takes only envelopes. Do not let the exporter compress: this client does, once and on its own thread.
///
/// | the answer that the OTLP exporter gets | means |
/// | --- | --- |
/// | 202 | the batch was taken: it will be sent, or is counted as dropped |
/// | 400, 413 | the body is no request of OTLP, or has more than 64 MiB; what was found in it is counted as dropped, at least one |
/// | 404 | Sentry takes only traces and logs; no metrics |
/// | 410 | the batch came after the shutdown, and is counted as dropped |
/// | 415 | neither protocol buffers nor JSON, or a compression that cannot be read; it is counted as one that is dropped |
///
/// ```
/// use std::time::Duration;
///
/// use opentelemetry_http::{Bytes, HttpClient, Request};
/// use opentelemetry_sentry_exporter::{SentryExporter, SentryOtlpClient};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ingest = opentelemetry_sentry_exporter::testing::LocalIngest::start()?;
/// # let dsn = ingest.dsn();
/// let client = SentryOtlpClient::from(SentryExporter::builder().with_dsn(dsn).build()?);
/// // opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(client.clone()).build()?;
///
/// # let request = Request::post("http://localhost:4318/v1/traces").header("content-type", "application/x-protobuf");
/// # let span = [&[10, 16][..], &[7; 16], &[18, 8], &[1; 8]].concat();
/// # let nested = |number: u8, inner: &[u8]| [&[number << 3 | 2, inner.len() as u8][..], inner].concat();
/// # let body = nested(1, &nested(2, &nested(2, &span)));
/// # let answer = client.send_bytes(request.body(Bytes::from(body))?);
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # let std::task::Poll::Ready(answer) = std::pin::pin!(answer).poll(&mut context) else { panic!("it waits for nothing") };
/// # assert_eq!(answer.expect("an answer").status(), 202);
/// // At the end, after the tracer provider:
/// client.shutdown(Duration::from_secs(2))?;
/// assert_eq!(client.stats().spans_sent, 1);
/// # assert_eq!(ingest.otlp_spans().len(), 1);
/// # Ok(()) }
/// ```
///
/// A clone is the same client. Without a DSN all batches are discarded, also with Spotlight, which takes no OTLP.
#[derive(Clone)]
pub struct SentryOtlpClient {
    engine: Option<Arc<Engine>>,
}

impl SentryOtlpClient {
    fn new(engine: Option<Arc<Engine>>) -> Self {
        let engine = engine.filter(|engine| engine.has_server());
        engine.iter().for_each(|engine| engine.expect_otlp());
        Self { engine }
    }

    /// What was received, sent and dropped so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.as_ref().map(|engine| engine.stats()).unwrap_or_default()
    }

    /// Sends all that OTLP exporters have handed over, and waits until the server has accepted it. Flush the providers
    /// before: their processors hold spans and logs that no exporter has seen.
    ///
    /// # Errors
    ///
    /// See [`SentrySpanProcessor::flush`](crate::SentrySpanProcessor::flush).
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.flush(timeout))
    }

    /// Accepts no more batches, sends all that there are, and ends the exporter's thread. Shut the providers down before.
    ///
    /// # Errors
    ///
    /// See [`SentrySpanProcessor::shutdown`](crate::SentrySpanProcessor::shutdown).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.shutdown(timeout))
    }

    /// Takes a batch. Returns the status for the exporter, which drops the batch in any case.
    fn take(&self, request: Request<Bytes>) -> StatusCode {
        let Some(signal) = signal(request.uri().path()) else { return StatusCode::NOT_FOUND };
        let Some(engine) = &self.engine else { return StatusCode::ACCEPTED };
        let (parts, refusal) = read(signal, &request, engine.largest_export());
        let is_open = engine.export(parts);
        refusal.unwrap_or(if is_open { StatusCode::ACCEPTED } else { StatusCode::GONE })
    }
}

impl fmt::Debug for SentryOtlpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentryOtlpClient").field("has_server", &self.engine.is_some()).finish()
    }
}

shares_engine!(SentryOtlpClient, "Takes over its thread, queue and statistics.");

impl HttpClient for SentryOtlpClient {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.take(request);
        Box::pin(future::ready(Ok(response)))
    }
}

/// Reads a batch. Returns what becomes of it, and the status with which it is refused.
fn read(signal: OtlpSignal, request: &Request<Bytes>, largest: usize) -> (OtlpParts, Option<StatusCode>) {
    let format = format(request.headers());
    let form = OtlpForm { signal, format: format.unwrap_or(OtlpFormat::Protobuf) };
    let unreadable = |status| (OtlpParts::of_unreadable(form, request.body()), Some(status));
    if format.is_none() {
        return unreadable(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    match decoded(&text(request.headers(), &CONTENT_ENCODING), request.body()) {
        Ok(body) if body.len() > MAX_BODY => {
            (OtlpParts::of_too_large(form, &body), Some(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Ok(body) => {
            let parts = OtlpParts::of(form, &body, largest);
            let refusal = (!parts.is_valid).then_some(StatusCode::BAD_REQUEST);
            (parts, refusal)
        }
        Err(status) => unreadable(status),
    }
}

/// The signal of an endpoint such as `http://localhost:4318/v1/traces` or Sentry's own.
fn signal(path: &str) -> Option<OtlpSignal> {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.rsplit_once("/v1/")?.1 {
        "traces" => Some(OtlpSignal::Traces),
        "logs" => Some(OtlpSignal::Logs),
        _ => None,
    }
}

fn format(headers: &HeaderMap) -> Option<OtlpFormat> {
    match text(headers, &CONTENT_TYPE).split(';').next().map(str::trim) {
        Some("application/x-protobuf") => Some(OtlpFormat::Protobuf),
        Some("application/json") => Some(OtlpFormat::Json),
        _ => None,
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
}

/// The body without compression. One byte more than the limit is read, which shows that there is more.
fn decoded(encoding: &str, body: &Bytes) -> Result<Bytes, StatusCode> {
    match encoding {
        "" | "identity" => Ok(body.clone()),
        "gzip" => unpacked(MultiGzDecoder::new(&body[..])),
        #[cfg(feature = "zstd")]
        "zstd" => unpacked(zstd::Decoder::with_buffer(&body[..]).map_err(|_| StatusCode::BAD_REQUEST)?),
        _ => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

fn unpacked(decoder: impl Read) -> Result<Bytes, StatusCode> {
    let mut unpacked = Vec::new();
    decoder.take(MAX_BODY as u64 + 1).read_to_end(&mut unpacked).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(unpacked.into())
}
