//! The units of metrics that Sentry knows.

/// A unit, and what Sentry makes of it.
const UNITS: [(&str, &str); 27] = [
    ("nanosecond", "nanosecond"),
    ("ns", "nanosecond"),
    ("microsecond", "microsecond"),
    ("millisecond", "millisecond"),
    ("ms", "millisecond"),
    ("second", "second"),
    ("s", "second"),
    ("minute", "minute"),
    ("hour", "hour"),
    ("day", "day"),
    ("week", "week"),
    ("bit", "bit"),
    ("byte", "byte"),
    ("kilobyte", "kilobyte"),
    ("kibibyte", "kibibyte"),
    ("megabyte", "megabyte"),
    ("mebibyte", "mebibyte"),
    ("gigabyte", "gigabyte"),
    ("gibibyte", "gibibyte"),
    ("terabyte", "terabyte"),
    ("tebibyte", "tebibyte"),
    ("petabyte", "petabyte"),
    ("pebibyte", "pebibyte"),
    ("exabyte", "exabyte"),
    ("exbibyte", "exbibyte"),
    ("ratio", "ratio"),
    ("percent", "percent"),
];

/// Sentry's word for a unit. `None` for one that Sentry does not know: it stores the metric without a unit.
pub(super) fn known(unit: &str) -> Option<&'static str> {
    UNITS.iter().find(|(text, _)| *text == unit).map(|(_, word)| *word)
}
