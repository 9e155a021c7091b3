//! Measurements from events and attributes. The rules are in the guide, page `mapping`, section "Measurements".

use std::{borrow::Cow, slice};

use opentelemetry::{KeyValue, trace::Event};
use opentelemetry_sentry_semantics::{Attributes, semconv};
use serde::{Serialize, Serializer};

use super::view::Span;

/// The web vitals that Sentry knows, and their units.
const WEB_VITALS: [(&str, &str); 8] = [
    ("cls", "none"),
    ("fcp", MILLISECOND),
    ("fid", MILLISECOND),
    ("fp", MILLISECOND),
    ("inp", MILLISECOND),
    ("lcp", MILLISECOND),
    ("ttfb", MILLISECOND),
    ("ttfb.requesttime", MILLISECOND),
];

const MILLISECOND: &str = "millisecond";

/// The most measurements of a transaction. Of those with unknown names Sentry keeps ten.
const MAX_MEASUREMENTS: usize = 100;

/// The longest unit that Sentry accepts.
const MAX_UNIT: usize = 15;

/// The longest name that Sentry accepts.
const MAX_NAME: usize = 200;

/// The measurements of a transaction or a span. Each name occurs once.
#[derive(Debug, Default)]
pub(crate) struct Measurements<'a>(Vec<Measurement<'a>>);

#[derive(Debug)]
struct Measurement<'a> {
    name: Cow<'a, str>,
    value: f64,
    unit: Cow<'a, str>,
}

#[derive(Serialize)]
struct Reading<'a> {
    value: f64,
    unit: &'a str,
}

impl<'a> Measurements<'a> {
    /// The measurements of a transaction: all of its root, and the web vitals of its children.
    pub(crate) fn of_transaction(root: Span<'a>, children: &[Span<'a>]) -> Self {
        let vitals =
            children.iter().copied().flat_map(of_span).filter(|measurement| vital(&measurement.name).is_some());
        Self::default().with(vitals).with(of_span(root))
    }

    /// The measurements of a child, without web vitals, which the transaction has.
    pub(crate) fn of_child(span: Span<'a>) -> Self {
        Self::default().with(of_span(span).filter(|measurement| vital(&measurement.name).is_none()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds measurements. One replaces an earlier one with the same name.
    fn with(mut self, measurements: impl Iterator<Item = Measurement<'a>>) -> Self {
        for measurement in measurements {
            self.0.retain(|known| known.name != measurement.name);
            if self.0.len() < MAX_MEASUREMENTS {
                self.0.push(measurement);
            }
        }
        self
    }
}

impl Serialize for Measurements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let readings = self.0.iter().map(|Measurement { name, value, unit }| (name, Reading { value: *value, unit }));
        serializer.collect_map(readings)
    }
}

fn of_span(span: Span<'_>) -> impl Iterator<Item = Measurement<'_>> {
    let Span { data, has_vitals, .. } = span;
    let attributes = if has_vitals { data.attributes.as_slice() } else { &[] };
    attributes.iter().filter_map(of_attribute).chain(data.events.iter().filter_map(of_event))
}

fn of_attribute(attribute: &KeyValue) -> Option<Measurement<'_>> {
    let vital = attribute.key.as_str().strip_prefix(semconv::BROWSER_WEB_VITAL)?.strip_prefix('.')?;
    let name = match vital.strip_suffix(".value") {
        Some(name) => name,
        // Exception: this attribute has no `.value` suffix.
        None if vital == "ttfb.request_time" => "ttfb.requesttime",
        None => return None,
    };
    web_vital(name, Attributes::new(slice::from_ref(attribute)).float(attribute.key.as_str())?)
}

fn of_event(event: &Event) -> Option<Measurement<'_>> {
    if event.attributes.is_empty() {
        return None;
    }
    let attributes = Attributes::new(&event.attributes);
    if event.name == semconv::BROWSER_WEB_VITAL {
        let name = attributes.first_text(["browser.web_vital.name", "name"])?;
        let value = ["browser.web_vital.value", "value"].into_iter().find_map(|key| attributes.float(key))?;
        return web_vital(&name, value);
    }
    let value = attributes.float(semconv::SENTRY_MEASUREMENT_VALUE)?;
    let name = measurement_name(&event.name)?;
    let unit = match attributes.text(semconv::SENTRY_MEASUREMENT_UNIT) {
        Some(unit)
            if unit.len() <= MAX_UNIT && unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
        {
            unit
        }
        Some(_) => Cow::Borrowed("none"),
        None => Cow::Borrowed(vital(&name).map_or("none", |(_, unit)| unit)),
    };
    Some(Measurement { name, value, unit })
}

fn web_vital(name: &str, value: f64) -> Option<Measurement<'static>> {
    let (name, unit) = vital(name)?;
    Some(Measurement { name: Cow::Borrowed(name), value, unit: Cow::Borrowed(unit) })
}

fn vital(name: &str) -> Option<(&'static str, &'static str)> {
    WEB_VITALS.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known))
}

/// A name that Sentry accepts: a letter, then letters, digits, `_` and `.`, all in lower case.
fn measurement_name(name: &str) -> Option<Cow<'_, str>> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
    let fits = name.len() <= MAX_NAME && name.starts_with(|c: char| c.is_ascii_alphabetic());
    fits.then(|| {
        if name.chars().all(is_fine) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(name.to_ascii_lowercase().replace(|c| !is_fine(c), "_"))
    })
}
