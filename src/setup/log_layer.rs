//! `tracing` events as log records.

use std::{
    error::Error,
    fmt::{self, Write as _},
    sync::OnceLock,
};

use opentelemetry::{
    Context, Key,
    logs::{AnyValue, LogRecord as _, Logger, Severity},
};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use opentelemetry_sentry_protocol::__shared::{causes, contain, has_context};
use opentelemetry_sentry_semantics::semconv;
use tracing_core::{
    Dispatch, Event, Level, Metadata, Subscriber,
    dispatcher::WeakDispatch,
    field::{Field, Visit},
    span::Id,
};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::{
    Registry,
    layer::{self, Layer},
    registry::LookupSpan as _,
};

/// The layer of [`Sentry::log_layer`](crate::Sentry::log_layer), for events of all levels.
#[derive(Debug)]
pub struct EventLayer {
    logger: SdkLogger,
    /// The subscriber that has this layer. The spans of an event's `parent:` are found through it.
    dispatch: OnceLock<WeakDispatch>,
}

impl EventLayer {
    pub(super) const fn new(logger: SdkLogger) -> Self {
        Self { logger, dispatch: OnceLock::new() }
    }

    /// The context in which an event belongs if it names its parent; `None` if it belongs to the active span.
    fn context_of(&self, event: &Event<'_>) -> Option<Context> {
        if event.is_root() {
            return Some(Context::new());
        }
        let parent = event.parent()?;
        let dispatch = self.dispatch.get().and_then(WeakDispatch::upgrade);
        Some(dispatch.and_then(|dispatch| context_of_span(&dispatch, parent)).unwrap_or_default())
    }
}

/// The context of a span, or of its nearest ancestor that the layer for spans records.
fn context_of_span(dispatch: &Dispatch, id: &Id) -> Option<Context> {
    // The layer's own view of the registry has only the spans that pass its filter.
    match dispatch.downcast_ref::<Registry>() {
        Some(registry) => registry.span(id)?.scope().find_map(|span| get_otel_context(&span.id(), dispatch)),
        None => get_otel_context(id, dispatch),
    }
}

impl<S: Subscriber> Layer<S> for EventLayer {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // A layer has one subscriber.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        // The SDK looks into the context. A panic in the destructor of a `thread_local!` would abort the process.
        if !has_context() {
            return;
        }
        let metadata = event.metadata();
        let severity = severity(*metadata.level());
        // Under suppressed telemetry, as on the exporter's thread, this is false.
        if !self.logger.event_enabled(severity, metadata.target(), Some(metadata.name())) {
            return;
        }
        let mut record = self.logger.create_log_record();
        record.set_severity_number(severity);
        record.set_severity_text(metadata.level().as_str());
        let mut fields = Fields { is_from_log: metadata.target() == LOG, ..Fields::of(&mut record) };
        event.record(&mut fields);
        let Fields { target, has_message, error, .. } = fields;
        // As `#[instrument(err)]` writes it. A line without a text would be empty in Sentry.
        if let Some(error) = error.filter(|_| !has_message) {
            record.set_body(error.into());
        }
        match target {
            // The place of the bridge that has made the event says nothing.
            Some(target) => record.set_target(target),
            None => {
                record.set_target(metadata.target());
                add_place(&mut record, metadata);
            }
        }
        // A record gets its trace and span from the current context.
        let _in_parent = self.context_of(event).map(Context::attach);
        self.logger.emit(record);
    }
}

/// The target of events that `tracing-log` makes of records of the `log` crate.
const LOG: &str = "log";

/// The prefix of their own fields: target, module, file and line.
const LOG_FIELDS: &str = "log.";

const fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

fn add_place(record: &mut SdkLogRecord, metadata: &'static Metadata<'static>) {
    if let Some(file) = metadata.file() {
        record.add_attribute(semconv::CODE_FILE_PATH, file);
    }
    if let Some(line) = metadata.line() {
        record.add_attribute(semconv::CODE_LINE_NUMBER, line);
    }
    // Without `target: "…"` the target is the module.
    if let Some(module) = metadata.module_path().filter(|module| *module != metadata.target()) {
        record.add_attribute(semconv::CODE_MODULE_NAME, module);
    }
}

/// Puts the fields of an event into a record.
struct Fields<'a> {
    record: &'a mut SdkLogRecord,
    is_from_log: bool,
    target: Option<String>,
    has_message: bool,
    /// A field was an error.
    has_exception: bool,
    /// The text of the field `error`.
    error: Option<String>,
}

impl<'a> Fields<'a> {
    const fn of(record: &'a mut SdkLogRecord) -> Self {
        Self { record, is_from_log: false, target: None, has_message: false, has_exception: false, error: None }
    }

    fn add(&mut self, field: &Field, value: impl Into<AnyValue>) {
        let value = value.into();
        match field.name() {
            "message" => {
                self.has_message = true;
                self.record.set_body(value);
            }
            name if self.is_from_log && name.starts_with(LOG_FIELDS) => self.add_of_log(name, value),
            name => {
                if let ("error", AnyValue::String(text)) = (name, &value) {
                    self.error = Some(text.as_str().to_owned());
                }
                self.record.add_attribute(Key::from_static_str(name), value);
            }
        }
    }

    /// Adds a field that `tracing-log` has made.
    fn add_of_log(&mut self, name: &str, value: AnyValue) {
        match (name, value) {
            ("log.target", AnyValue::String(target)) => self.target = Some(target.as_str().to_owned()),
            ("log.file", file) => self.record.add_attribute(semconv::CODE_FILE_PATH, file),
            ("log.line", line) => self.record.add_attribute(semconv::CODE_LINE_NUMBER, line),
            // The module is the target, unless the line has one of its own.
            _ => {}
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, printed(format_args!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    /// Sentry's integers have 64 bits with a sign. As text no digit is lost.
    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(number) => self.add(field, number),
            Err(_) => self.add(field, value.to_string()),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(number) => self.add(field, number),
            Err(_) => self.add(field, value.to_string()),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match i64::try_from(value) {
            Ok(number) => self.add(field, number),
            Err(_) => self.add(field, value.to_string()),
        }
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.add(field, value);
    }

    /// An error is an exception: its type, its message, and the messages of its causes. A second error of the same line is a
    /// text: the parts of both would mix.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let text = printed(format_args!("{value}"));
        if field.name() == "message" || self.has_exception {
            return self.add(field, text);
        }
        self.has_exception = true;
        self.error = Some(text.clone());
        self.record.add_attribute(semconv::EXCEPTION_MESSAGE, text);
        if let Some(name) = type_name(value) {
            self.record.add_attribute(semconv::EXCEPTION_TYPE, name);
        }
        let mut chain = Vec::new();
        contain(|| causes(value).for_each(|cause| chain.push(AnyValue::from(printed(format_args!("{cause}"))))));
        if !chain.is_empty() {
            self.record.add_attribute(semconv::ERROR_CHAIN, AnyValue::ListAny(Box::new(chain)));
        }
    }
}

/// What the application's `Display` or `Debug` writes. If that fails or panics, what it has written until then.
fn printed(value: fmt::Arguments<'_>) -> String {
    let mut text = String::new();
    contain(|| text.write_fmt(value));
    text
}

/// The name of an error's type. A trait object has none, but the derived `Debug` of a type begins with its name, as in
/// `NoStock { item: 7 }`. `None` if it begins otherwise.
fn type_name(error: &dyn Error) -> Option<String> {
    let mut name = Name(String::new());
    // Writing ends with an error at the end of the name. A panic of the application's `Debug` costs the name alone.
    contain(|| _ = write!(name, "{error:?}"))?;
    let Name(name) = name;
    let is_type = |last: &str| last.starts_with(|first: char| first.is_ascii_uppercase());
    name.rsplit("::").next().is_some_and(is_type).then_some(name)
}

/// Takes in the path at the beginning of a text.
struct Name(String);

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        const MAX_NAME: usize = 200;
        let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        let part: usize = text.chars().take_while(is_part).map(char::len_utf8).sum();
        self.0.push_str(&text[..part]);
        let is_over = part < text.len() || self.0.len() > MAX_NAME;
        if is_over { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct NoStock {
        _item: u32,
    }

    #[derive(Debug)]
    struct Unit;

    struct Own(&'static str);

    struct Panics;

    impl fmt::Debug for Own {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl fmt::Debug for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("as the test wants")
        }
    }

    macro_rules! errors {
        ($($name:ident)*) => {$(
            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an error")
                }
            }

            impl Error for $name {}
        )*};
    }

    errors! { NoStock Unit Own Panics }

    #[test]
    fn the_name_of_a_type_is_read_from_its_debug_text() {
        let errors: [(&dyn Error, Option<&str>); 8] = [
            (&NoStock { _item: 1 }, Some("NoStock")),
            (&Unit, Some("Unit")),
            (&io::Error::other("disk full"), Some("Custom")),
            (&Own("shop::Full(1)"), Some("shop::Full")),
            (&Own("disk full"), None),
            (&Own(""), None),
            (&Own("\"Text\""), None),
            (&Panics, None),
        ];
        for (error, expected) in errors {
            assert_eq!(type_name(error).as_deref(), expected);
        }
    }
}
