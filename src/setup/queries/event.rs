//! What an event of `sqlx` says about a query.

use std::{fmt, time::Duration};

use tracing_core::field::{Field, Visit};

/// The fields of an event, which are the same for all of `sqlx`'s drivers.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// The first words of the statement, or all of it.
    summary: String,
    /// The statement with blanks around it. Empty if `summary` is all of it.
    statement: String,
    pub(super) rows_affected: Option<i64>,
    pub(super) rows_returned: Option<i64>,
    pub(super) elapsed: Option<Duration>,
    /// The limit that the query has exceeded, such as `1s`. Only slow ones have it.
    pub(super) slow_threshold: Option<String>,
}

impl Query {
    /// The statement as the application wrote it.
    pub(super) fn text(&self) -> &str {
        let (statement, summary) = (self.statement.trim(), self.summary.trim());
        if statement.is_empty() { summary } else { statement }
    }

    fn add_text(&mut self, name: &str, text: &str) {
        match name {
            "summary" => text.clone_into(&mut self.summary),
            "db.statement" => text.clone_into(&mut self.statement),
            // Older versions have no number beside it.
            "elapsed" => self.elapsed = self.elapsed.or_else(|| duration(text)),
            "slow_threshold" => self.slow_threshold = Some(text.to_owned()),
            _ => {}
        }
    }

    fn add_number(&mut self, name: &str, number: Option<i64>) {
        match name {
            "rows_affected" => self.rows_affected = number,
            "rows_returned" => self.rows_returned = number,
            _ => {}
        }
    }
}

impl Visit for Query {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Formatting the others would be in vain.
        if matches!(field.name(), "summary" | "db.statement" | "elapsed" | "slow_threshold") {
            self.add_text(field.name(), &format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            // Neither negative nor infinite.
            self.elapsed = Duration::try_from_secs_f64(value).ok();
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_number(field.name(), Some(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add_number(field.name(), i64::try_from(value).ok());
    }
}

/// A duration as `Debug` prints it: `1.5ms`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_printed_duration_is_read_within_a_microsecond(micros in 0..10_000_000_000_u64) {
            let time = Duration::from_micros(micros);
            let read = duration(&format!("{time:?}")).expect("a duration");
            prop_assert!(read.abs_diff(time) <= Duration::from_micros(1), "{time:?} became {read:?}");
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = duration(&text);
        }
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in ["", "1", "ms", "1.2.3s", "-1s", "1h", "inf s", "9e999s"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
