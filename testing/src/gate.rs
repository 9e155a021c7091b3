//! Holds answers back until a test lets them go.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

/// Holds the answers of [`LocalIngest`](crate::LocalIngest) back until the test opens it.
///
/// With it, a test decides in which order a slow server and the rest happen, and waits for no time to pass. A clone
/// is the same gate.
///
/// ```
/// use opentelemetry_sentry_testing::{Answer, Gate, LocalIngest};
///
/// let ingest = LocalIngest::start()?;
/// let gate = Gate::new();
/// ingest.answer_with(Answer::ok().with_gate(&gate));
/// // Whatever is sent now gets no answer …
/// gate.open(); // … until here.
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A gate that is closed.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Opens it for all answers, those that wait and later ones. It stays open.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub(super) async fn opened(&self) {
        // The sender is alive as long as `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|is_open| *is_open).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gate {}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("is_open", &*self.0.borrow()).finish()
    }
}
