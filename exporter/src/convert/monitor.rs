//! The settings of a cron monitor, with which Sentry creates or updates it.

use opentelemetry_sentry_semantics::{Attributes, semconv};
use serde::Serialize;

/// The longest crontab. Sentry accepts no longer one.
const MAX_CRONTAB: usize = 255;

/// The longest time zone; the longest of the IANA data base has 30 characters.
const MAX_TIMEZONE: usize = 64;

/// The names that stand for a crontab.
const MACROS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// The units of intervals.
const UNITS: [&str; 6] = ["year", "month", "week", "day", "hour", "minute"];

/// The attributes from which the settings are read.
const KEYS: [&str; 9] = [
    semconv::SENTRY_MONITOR_SCHEDULE,
    semconv::SENTRY_MONITOR_SCHEDULE_TYPE,
    semconv::SENTRY_MONITOR_SCHEDULE_VALUE,
    semconv::SENTRY_MONITOR_SCHEDULE_UNIT,
    semconv::SENTRY_MONITOR_CHECKIN_MARGIN,
    semconv::SENTRY_MONITOR_MAX_RUNTIME,
    semconv::SENTRY_MONITOR_TIMEZONE,
    semconv::SENTRY_MONITOR_FAILURE_ISSUE_THRESHOLD,
    semconv::SENTRY_MONITOR_RECOVERY_THRESHOLD,
];

/// The settings of a cron monitor.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MonitorConfig {
    schedule: Schedule,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkin_margin: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_runtime: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_issue_threshold: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_threshold: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Schedule {
    Crontab { value: String },
    Interval { value: u64, unit: &'static str },
}

impl MonitorConfig {
    /// Reads the settings of a span. Also returns how many attributes for them are invalid. They are left out, and without a
    /// schedule all are: Sentry would refuse the check-in with them, which matters more.
    pub(super) fn read(attributes: Attributes<'_>) -> (Option<Self>, u64) {
        let present = || KEYS.iter().filter(|key| attributes.get(key).is_some()).count() as u64;
        let Some(schedule) = schedule(attributes) else { return (None, present()) };
        let mut invalid = 0;
        let mut minutes_or_jobs = |key| {
            let number = attributes.integer(key).and_then(|number| u64::try_from(number).ok());
            invalid += u64::from(number.is_none() && attributes.get(key).is_some());
            number
        };
        let checkin_margin = minutes_or_jobs(semconv::SENTRY_MONITOR_CHECKIN_MARGIN);
        let max_runtime = minutes_or_jobs(semconv::SENTRY_MONITOR_MAX_RUNTIME);
        let failure_issue_threshold = minutes_or_jobs(semconv::SENTRY_MONITOR_FAILURE_ISSUE_THRESHOLD);
        let recovery_threshold = minutes_or_jobs(semconv::SENTRY_MONITOR_RECOVERY_THRESHOLD);
        let timezone = attributes.text(semconv::SENTRY_MONITOR_TIMEZONE).filter(|text| is_timezone(text));
        invalid += u64::from(timezone.is_none() && attributes.get(semconv::SENTRY_MONITOR_TIMEZONE).is_some());
        let timezone = timezone.map(Into::into);
        let config =
            Self { schedule, checkin_margin, max_runtime, timezone, failure_issue_threshold, recovery_threshold };
        (Some(config), invalid)
    }
}

/// The schedule, if it is valid. Its type may be missing: then an interval is known by its unit.
fn schedule(attributes: Attributes<'_>) -> Option<Schedule> {
    let value = attributes.first_text([semconv::SENTRY_MONITOR_SCHEDULE_VALUE, semconv::SENTRY_MONITOR_SCHEDULE])?;
    let value = value.trim();
    let unit = attributes.text(semconv::SENTRY_MONITOR_SCHEDULE_UNIT);
    let kind = attributes.text(semconv::SENTRY_MONITOR_SCHEDULE_TYPE);
    match kind.as_deref().unwrap_or(if unit.is_some() { "interval" } else { "crontab" }) {
        "crontab" if is_crontab(value) => Some(Schedule::Crontab { value: value.to_owned() }),
        "interval" => {
            let unit = unit.unwrap_or_default();
            // `minutes` reads better beside a number, and Sentry knows the singular alone.
            let unit = UNITS.into_iter().find(|known| *known == unit.strip_suffix('s').unwrap_or(&unit))?;
            let value = value.parse().ok().filter(|value| *value > 0)?;
            Some(Schedule::Interval { value, unit })
        }
        _ => None,
    }
}

/// Whether a text has the form of a crontab. Whether such a time exists is Sentry's to say, in the monitor's settings.
fn is_crontab(text: &str) -> bool {
    let is_field = |field: &str| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*/,-?#".contains(&byte));
    let fields = || text.split_ascii_whitespace();
    text.len() <= MAX_CRONTAB && (MACROS.contains(&text) || (fields().count() == 5 && fields().all(is_field)))
}

fn is_timezone(text: &str) -> bool {
    text.len() <= MAX_TIMEZONE && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
}
