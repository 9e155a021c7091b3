//! What a request of an OTLP exporter is: its signal and its format.

use crate::account::Counts;

/// What a request is. It takes the place of an envelope's line of headers, in memory and on disk, which begins with `{`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtlpForm {
    pub(crate) signal: OtlpSignal,
    pub(crate) format: OtlpFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtlpSignal {
    Traces,
    Logs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtlpFormat {
    Protobuf,
    Json,
}

/// All forms, each with its mark.
const FORMS: [(&str, OtlpForm); 4] = [
    ("otlp traces protobuf", OtlpForm { signal: OtlpSignal::Traces, format: OtlpFormat::Protobuf }),
    ("otlp traces json", OtlpForm { signal: OtlpSignal::Traces, format: OtlpFormat::Json }),
    ("otlp logs protobuf", OtlpForm { signal: OtlpSignal::Logs, format: OtlpFormat::Protobuf }),
    ("otlp logs json", OtlpForm { signal: OtlpSignal::Logs, format: OtlpFormat::Json }),
];

impl OtlpForm {
    pub(super) fn of_mark(mark: &[u8]) -> Option<Self> {
        FORMS.into_iter().find(|(known, _)| known.as_bytes() == mark).map(|(_, form)| form)
    }

    pub(super) fn mark(self) -> &'static str {
        FORMS.into_iter().find(|(_, form)| *form == self).map_or("", |(mark, _)| mark)
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self.format {
            OtlpFormat::Protobuf => "application/x-protobuf",
            OtlpFormat::Json => "application/json",
        }
    }

    /// What records with these bytes account for. Sentry counts the bytes of a log a little differently, as its texts.
    pub(super) const fn counts(self, records: usize, bytes: usize) -> Counts {
        match self.signal {
            OtlpSignal::Traces => Counts::spans(records),
            OtlpSignal::Logs => Counts { logs: records as u64, log_bytes: bytes as u64, ..Counts::NOTHING },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_a_mark_that_no_line_of_headers_can_be() {
        for (mark, form) in FORMS {
            assert_eq!((OtlpForm::of_mark(mark.as_bytes()), form.mark()), (Some(form), mark));
            assert!(!mark.starts_with('{'));
        }
        for headers in ["{}", "", "otlp", "otlp traces protobuf "] {
            assert_eq!(OtlpForm::of_mark(headers.as_bytes()), None);
        }
    }
}
