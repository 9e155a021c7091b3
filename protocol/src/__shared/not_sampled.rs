//! The mark of spans that are recorded for other processors than Sentry's.

use std::sync::{Arc, LazyLock};

use opentelemetry::{KeyValue, StringValue, Value};

/// The key of the mark, which other exporters show.
const KEY: &str = "sentry.not_sampled";

/// One text for the process, known by its address. By its key alone, an attribute that the application sets would hide
/// a span from Sentry.
static MARK: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("true"));

/// The attribute that the sampler adds.
#[must_use]
pub fn attribute() -> KeyValue {
    KeyValue::new(KEY, Value::String(StringValue::from(Arc::clone(&MARK))))
}

/// Whether an attribute comes from [`attribute`], and not from the application.
#[must_use]
pub fn is_mark(attribute: &KeyValue) -> bool {
    match &attribute.value {
        Value::String(text) => attribute.key.as_str() == KEY && text.as_str().as_ptr() == MARK.as_ptr(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_samplers_own_attribute_is_the_mark() {
        assert!(is_mark(&attribute()) && is_mark(&attribute()));
        let forged: [Value; 4] =
            ["true".into(), String::from("true").into(), true.into(), Arc::<str>::from("true").into()];
        for value in forged {
            assert!(!is_mark(&KeyValue::new(KEY, value)));
        }
        assert!(!is_mark(&KeyValue::new("another", attribute().value)));
    }
}
