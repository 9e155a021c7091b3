//! What an answer means for its envelope.
//!
//! | answer | verdict |
//! | --- | --- |
//! | 2xx | delivered |
//! | 429 | dropped: rate limited |
//! | other 4xx and 5xx | dropped: refused |
//! | 3xx | dropped: a redirect may lead to another host, which must not get the data |
//! | 400 or 415 to a body in zstd | sent again in gzip |
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
    pub(super) fn verdict(&self, encoding: Option<&str>) -> Verdict {
        match self {
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
        for (answer, encoding, verdict) in [
            (status(200), None, Verdict::Delivered),
            (status(202), Some("zstd"), Verdict::Delivered),
            (status(302), None, Verdict::Dropped(NetworkError)),
            (status(400), Some("gzip"), Verdict::Dropped(SendError)),
            (status(400), Some("zstd"), Verdict::InGzip),
            (status(415), Some("zstd"), Verdict::InGzip),
            (status(413), Some("zstd"), Verdict::Dropped(SendError)),
            (status(429), Some("zstd"), Verdict::Dropped(RateLimited)),
            (status(503), None, Verdict::Dropped(SendError)),
            (status(100), None, Verdict::Dropped(SendError)),
            (Answer::Nothing(String::new()), None, Verdict::Later),
            (Answer::Panic, None, Verdict::Dropped(InternalSdkError)),
        ] {
            assert_eq!(answer.verdict(encoding), verdict, "{answer:?} {encoding:?}");
        }
    }
}
