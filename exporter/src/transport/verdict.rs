//! What an answer means for its envelope.
//!
//! | answer | verdict |
//! | --- | --- |
//! | 2xx | delivered |
//! | 429 | dropped: rate limited |
//! | other 4xx and 5xx | dropped: refused |
//! | 3xx | dropped: a redirect may lead to another host, which must not get the data |
//! | 400 or 415 to a body in zstd | sent again in gzip |
//! | 502, 503 or 504 to a request of an OTLP exporter | sent again later, as OTLP asks for; Sentry asks to drop envelopes |
//! | none, or none in time | sent again later |
//! | the HTTP client panicked | dropped: internal error |

use http::HeaderMap;

use crate::account::DropReason;

/// The outcome of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The server answered.
    Status(u16, HeaderMap),
    /// No answer came, for this reason.
    Nothing(String),
    /// The HTTP client panicked.
    Panic,
}

/// What happens to an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    Dropped(DropReason),
    /// It is sent again at once with gzip, which every server accepts.
    InGzip,
    /// It is sent again later.
    Later,
}

impl Answer {
    pub(super) fn verdict(&self, encoding: Option<&str>, is_otlp: bool) -> Verdict {
        match self {
            Self::Status(502..=504, _) if is_otlp => Verdict::Later,
            Self::Status(200..=299, _) => Verdict::Delivered,
            Self::Status(300..=399, _) => Verdict::Dropped(DropReason::NetworkError),
            Self::Status(429, _) => Verdict::Dropped(DropReason::RateLimited),
            Self::Status(400 | 415, _) if encoding == Some("zstd") => Verdict::InGzip,
            Self::Status(..) => Verdict::Dropped(DropReason::SendError),
            Self::Nothing(_) => Verdict::Later,
            Self::Panic => Verdict::Dropped(DropReason::InternalSdkError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_verdict() {
        use DropReason::{InternalSdkError, NetworkError, RateLimited, SendError};
        let status = |status| Answer::Status(status, HeaderMap::new());
        for (answer, encoding, is_otlp, verdict) in [
            (status(200), None, false, Verdict::Delivered),
            (status(202), Some("zstd"), false, Verdict::Delivered),
            (status(302), None, false, Verdict::Dropped(NetworkError)),
            (status(400), Some("gzip"), false, Verdict::Dropped(SendError)),
            (status(400), Some("zstd"), false, Verdict::InGzip),
            (status(415), Some("zstd"), false, Verdict::InGzip),
            (status(413), Some("zstd"), false, Verdict::Dropped(SendError)),
            (status(429), Some("zstd"), false, Verdict::Dropped(RateLimited)),
            (status(503), None, false, Verdict::Dropped(SendError)),
            (status(100), None, false, Verdict::Dropped(SendError)),
            (Answer::Nothing(String::new()), None, false, Verdict::Later),
            (status(202), Some("gzip"), true, Verdict::Delivered),
            (status(403), None, true, Verdict::Dropped(SendError)),
            (status(413), None, true, Verdict::Dropped(SendError)),
            (status(415), Some("zstd"), true, Verdict::InGzip),
            (status(429), None, true, Verdict::Dropped(RateLimited)),
            (status(500), None, true, Verdict::Dropped(SendError)),
            (status(502), None, true, Verdict::Later),
            (status(503), None, true, Verdict::Later),
            (status(504), None, true, Verdict::Later),
            (Answer::Panic, None, false, Verdict::Dropped(InternalSdkError)),
        ] {
            assert_eq!(answer.verdict(encoding, is_otlp), verdict, "{answer:?} {encoding:?} {is_otlp}");
        }
    }
}
