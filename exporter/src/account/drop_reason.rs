//! Why something was not delivered.

use std::fmt;

/// Generates the enum, the list of its variants, their words and their classes from one table. A variant can then not
/// be missing in one of them.
macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])* $variant:ident = $word:literal, $class:ident, $report:expr;)*) => {
        /// Why something was not delivered. The words are those of Sentry's [client reports].
        ///
        /// [client reports]: https://develop.sentry.dev/sdk/telemetry/client-reports/
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DropReason { $($(#[doc = $doc])* $variant),* }

        impl DropReason {
            pub(crate) const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            const fn row(self) -> Row {
                match self { $(Self::$variant => ($word, Class::$class, $report)),* }
            }
        }
    };
}

drop_reasons! {
    /// The sampler kept fewer traces for a while, because the server could not keep up.
    Backpressure = "backpressure", Wanted, ByUs;
    /// The hook for transactions returned `None`, or removed spans from a transaction.
    BeforeSend = "before_send", Wanted, ByUs;
    /// Too many bytes of ended spans were waiting to be assembled or converted.
    BufferOverflow = "buffer_overflow", Loss, ByUs;
    /// It was kept on disk, where it became too old, had to make room for newer envelopes or was damaged.
    CacheOverflow = "cache_overflow", Loss, ByUs;
    /// A filter of the application matched it.
    Ignored = "ignored", Wanted, ByUs;
    /// It could not be serialised, a hook or the HTTP client panicked, or a bug has ended the exporter's thread.
    InternalSdkError = "internal_sdk_error", Loss, ByUs;
    /// It has no valid id, or is larger than Sentry accepts even without its long values.
    Invalid = "invalid", Loss, ByUs;
    /// The server could not be reached or did not answer in time, and there was no more time or room to wait for it.
    NetworkError = "network_error", Loss, ByUs;
    /// Too many bytes of serialised envelopes were waiting to be sent, so there was no room for this one.
    QueueOverflow = "queue_overflow", Loss, ByUs;
    /// An earlier answer of the server had limited this category.
    RateLimitBackoff = "ratelimit_backoff", Loss, ByUs;
    /// The server answered 429: this project sends more than its quota allows. Sentry counts these itself.
    RateLimited = "rate_limited", Loss, NotByUs;
    /// The sampler decided against a trace that no upstream service had decided about.
    SampleRate = "sample_rate", Wanted, ByUs;
    /// The server rejected it with another status.
    SendError = "send_error", Loss, ByUs;
    /// It ended after the shutdown, or was not delivered before the shutdown's deadline. The process ends before client
    /// reports could list these.
    Shutdown = "shutdown", Loss, NotByUs;
    /// It is larger than Sentry accepts, and nothing of it can be cut. Client reports call it `send_error`.
    TooLarge = "too_large", Loss, As("send_error");
}

/// A row of the table.
type Row = (&'static str, Class, Report);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The application asked for it, by a setting.
    Wanted,
    Loss,
}

/// Whether client reports list a reason.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Report {
    /// They list it.
    ByUs,
    /// They list it under another word, because Sentry does not know this one.
    As(&'static str),
    /// Sentry counts it itself, or the process ends before a report.
    NotByUs,
}
use Report::{As, ByUs, NotByUs};

impl DropReason {
    /// Whether the application asked for it; everything else is a loss.
    #[must_use]
    pub const fn is_wanted(self) -> bool {
        matches!(self.row().1, Class::Wanted)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The word under which client reports list it, if they do.
    pub(crate) const fn report_word(self) -> Option<&'static str> {
        match self.row().2 {
            ByUs => Some(self.as_str()),
            As(word) => Some(word),
            NotByUs => None,
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_reason_has_a_place_and_a_word_of_its_own() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "the ledger is indexed by it");
        }
        let words: BTreeSet<_> = DropReason::ALL.map(DropReason::as_str).into();
        assert_eq!(words.len(), DropReason::ALL.len());
    }

    #[test]
    fn what_the_application_asked_for_is_no_loss() {
        let wanted = DropReason::ALL.into_iter().filter(|reason| reason.is_wanted());
        let wanted: Vec<_> = wanted.map(DropReason::as_str).collect();
        assert_eq!(wanted, ["backpressure", "before_send", "ignored", "sample_rate"]);
    }

    #[test]
    fn client_reports_leave_out_what_sentry_counts_and_what_the_end_of_the_process_loses() {
        let silent = DropReason::ALL.into_iter().filter(|reason| reason.report_word().is_none());
        assert_eq!(silent.collect::<Vec<_>>(), [DropReason::RateLimited, DropReason::Shutdown]);
    }
}
