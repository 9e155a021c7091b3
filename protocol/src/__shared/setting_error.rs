//! Errors of builders: which setting was refused, and why.

use std::{error::Error, fmt, sync::Arc};

/// A builder refused a setting. The message is the setter's name and the message of the source.
#[derive(Clone, Debug)]
pub struct SettingError {
    setting: &'static str,
    source: Arc<dyn Error + Send + Sync>,
}

impl SettingError {
    /// Names the setting that an error comes from; for `map_err`.
    pub fn of<E: Error + Send + Sync + 'static>(setting: &'static str) -> impl Fn(E) -> Self {
        move |source| Self { setting, source: Arc::new(source) }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.source)
    }
}

impl Error for SettingError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
