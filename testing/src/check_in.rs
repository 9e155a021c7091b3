//! Check-ins of cron monitors: as a test reads them, and what Sentry requires of them.

use hyper::StatusCode;
use serde_json::Value;

use crate::{envelope::Envelope, item::Item, refusal::Refusal};

/// The type of the item.
const ITEM_TYPE: &str = "check_in";

/// The most characters of a slug. Sentry cuts a longer one, and then does not find the monitor.
const MAX_SLUG: usize = 50;

/// The most characters of an environment.
const MAX_ENVIRONMENT: usize = 64;

/// A check-in of a cron monitor that arrived.
///
/// ```
/// # fn check(ingest: &opentelemetry_sentry_testing::LocalIngest) {
/// let check_ins = ingest.check_ins();
/// assert_eq!((check_ins[0].slug.as_str(), check_ins[0].status.as_str()), ("nightly", "in_progress"));
/// assert_eq!((check_ins[1].id.as_str(), check_ins[1].status.as_str()), (check_ins[0].id.as_str(), "ok"));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckIn {
    /// Its id, 32 digits: the same for the start and the end of a job.
    pub id: String,
    /// The slug of the monitor.
    pub slug: String,
    /// `in_progress`, `ok` or `error`.
    pub status: String,
    /// The environment.
    pub environment: String,
    /// How long the job took, in seconds.
    pub duration: Option<f64>,
    /// The settings of the monitor; null if there are none.
    pub config: Value,
    /// The trace's id, 32 digits.
    pub trace_id: String,
    /// The whole check-in, for everything else.
    pub json: Value,
}

impl CheckIn {
    fn from_json(json: Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            id: text(&json["check_in_id"]),
            slug: text(&json["monitor_slug"]),
            status: text(&json["status"]),
            environment: text(&json["environment"]),
            duration: json["duration"].as_f64(),
            config: json["monitor_config"].clone(),
            trace_id: text(&json["contexts"]["trace"]["trace_id"]),
            json,
        }
    }

    /// The check-ins in an envelope.
    pub(crate) fn all_in(envelope: &Envelope) -> impl Iterator<Item = Self> {
        let items = envelope.items().iter().filter(|item| item.item_type() == ITEM_TYPE);
        items.filter_map(|item| item.json().ok()).map(Self::from_json)
    }
}

/// Checks the check-ins of an envelope.
pub(super) fn check_check_ins(envelope: &Envelope) -> Result<(), Refusal> {
    let mut items = envelope.items().iter().filter(|item| item.item_type() == ITEM_TYPE);
    items.try_for_each(check).map_err(|reason| Refusal::new(StatusCode::BAD_REQUEST, "bad check-in", reason.to_owned()))
}

fn check(item: &Item) -> Result<(), &'static str> {
    let json = item.json().map_err(|_| "expected JSON in the check-in")?;
    let is_id = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid = |value: &Value| value.as_str().is_some_and(|id| is_id(&id.replace('-', "")));
    let is_slug = |slug: &str| {
        let mut bytes = slug.bytes();
        bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
            && (1..=MAX_SLUG).contains(&slug.len())
            && !slug.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_uuid(&json["check_in_id"]) {
        return Err("expected a UUID as check_in_id");
    }
    if !json["monitor_slug"].as_str().is_some_and(is_slug) {
        return Err("expected a slug of 1 to 50 lower-case letters, digits, `-` and `_`, not digits alone");
    }
    if !["in_progress", "ok", "error"].iter().any(|status| json["status"] == *status) {
        return Err("expected the status in_progress, ok or error");
    }
    let environment = &json["environment"];
    let is_short = |text: &str| text.chars().count() <= MAX_ENVIRONMENT;
    if !environment.is_null() && !environment.as_str().is_some_and(is_short) {
        return Err("expected an environment of at most 64 characters");
    }
    if !json["duration"].is_null() && !json["duration"].as_f64().is_some_and(|seconds| seconds >= 0.0) {
        return Err("expected seconds as the duration");
    }
    let trace = &json["contexts"]["trace"];
    if !trace.is_null() && !is_uuid(&trace["trace_id"]) {
        return Err("expected the id of a trace");
    }
    check_config(&json["monitor_config"])
}

fn check_config(config: &Value) -> Result<(), &'static str> {
    if config.is_null() {
        return Ok(());
    }
    let Value::Object(schedule) = &config["schedule"] else { return Err("expected a schedule in monitor_config") };
    let value = schedule.get("value").unwrap_or(&Value::Null);
    let unit = schedule.get("unit").and_then(Value::as_str).unwrap_or_default();
    let is_valid = match schedule.get("type").and_then(Value::as_str) {
        Some("crontab") => value.is_string(),
        Some("interval") => {
            value.as_u64().is_some_and(|value| value > 0)
                && ["year", "month", "week", "day", "hour", "minute"].contains(&unit)
        }
        _ => false,
    };
    if !is_valid {
        return Err("expected a crontab, or an interval with a number and a unit, as schedule");
    }
    let numbers = ["checkin_margin", "max_runtime", "failure_issue_threshold", "recovery_threshold"];
    if numbers.iter().any(|key| !config[*key].is_null() && !config[*key].is_u64()) {
        return Err("expected numbers in monitor_config");
    }
    let timezone = &config["timezone"];
    if timezone.is_null() || timezone.is_string() { Ok(()) } else { Err("expected a text as time zone") }
}
