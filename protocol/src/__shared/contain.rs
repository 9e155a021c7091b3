//! Functions of the application, called so that a panic in one of them ends neither a request nor the worker.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Calls a function of the application; `None` if it panicked.
///
/// The caller logs the panic: the macros of `internal-logs` read the features of the crate that they are used in.
pub fn contain<T>(function: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(function)) {
        Ok(value) => Some(value),
        Err(payload) => {
            forget(payload);
            None
        }
    }
}

/// Disposes of the payload of a panic. A text is dropped. A payload of another type is leaked, because its `Drop` can
/// panic as well.
pub fn forget(payload: Box<dyn Any + Send>) {
    if payload.is::<&'static str>() || payload.is::<String>() {
        drop(payload);
    } else {
        mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_is_contained_even_if_its_payload_panics_when_dropped() {
        assert_eq!(contain(|| 1), Some(1));
        assert_eq!(contain::<()>(|| panic!("the application's own")), None);
        assert_eq!(contain::<()>(|| panic_any(PanicsOnDrop)), None);
    }
}
