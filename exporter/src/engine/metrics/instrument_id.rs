//! What an instrument is asked for by.

use opentelemetry::InstrumentationScope;
use opentelemetry_sentry_semantics::cut;

use super::series::{NumberType, Role};

/// The most characters of a text that are kept of an instrument. OpenTelemetry allows 255 of a name and 63 of a unit.
pub(super) const MAX_TEXT: usize = 255;

/// What the application asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) scope: &'a InstrumentationScope,
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) role: Role,
    pub(crate) number_type: NumberType,
}

/// Two instruments that are equal are one. It is kept as long as the process runs, so its size is limited. Names that Sentry
/// writes alike are still two: the callbacks of two observables must not overwrite each other.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct InstrumentId {
    scope: [Box<str>; 2],
    name: Box<str>,
    unit: Box<str>,
    role: Role,
    number_type: NumberType,
}

impl InstrumentId {
    pub(super) fn new(wanted: &Wanted<'_>) -> Self {
        let Wanted { scope, name, unit, role, number_type } = *wanted;
        Self {
            scope: [scope.name(), scope.version().unwrap_or_default()].map(|text| cut(text, MAX_TEXT).into()),
            name: cut(name, MAX_TEXT).into(),
            unit: cut(unit, MAX_TEXT).into(),
            role,
            number_type,
        }
    }
}
