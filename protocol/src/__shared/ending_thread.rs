//! Whether the current thread still has a context of OpenTelemetry.
//!
//! While a thread ends, the values of its `thread_local!`s are destroyed one after the other, the latest first, and their
//! destructors may log. A context that is gone panics when it is used, and a panic there aborts the process.

use std::cell::Cell;

use opentelemetry::Context;

use super::contain;

thread_local! {
    /// It is destroyed just before the context is.
    static WITNESS: Witness = Witness::new();
    static IS_GONE: Cell<bool> = const { Cell::new(false) };
}

struct Witness;

impl Witness {
    fn new() -> Self {
        // The context has to be there first, so that it is destroyed afterwards.
        Context::map_current(|_| ());
        Self
    }
}

impl Drop for Witness {
    /// A value without a destructor is never destroyed.
    fn drop(&mut self) {}
}

/// Whether the context of this thread can be used. If not, the thread is about to end. In the destructor of a value that is older
/// than the first question, the answer is no while the context may still be there.
#[must_use]
pub fn has_context() -> bool {
    // It counts as gone meanwhile. If there was no witness before the context was gone, asking panics, and the
    // application's panic hook may log.
    if IS_GONE.replace(true) {
        return false;
    }
    let has_context = contain(|| WITNESS.try_with(|_| ()).is_ok()) == Some(true);
    IS_GONE.set(!has_context);
    has_context
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        sync::mpsc::{self, Sender},
        thread,
    };

    use super::*;

    /// Says whether there is a context when it is destroyed.
    struct Late(Sender<bool>);

    impl Drop for Late {
        fn drop(&mut self) {
            for _ in 0..2 {
                let _ = self.0.send(has_context());
            }
        }
    }

    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }

    /// What a value says that is destroyed after what was used before it, and before what was used behind it.
    fn late(before: fn(), behind: fn()) -> Vec<bool> {
        let (sender, said) = mpsc::channel();
        let thread = thread::spawn(move || {
            before();
            LATE.set(Some(Late(sender)));
            behind();
        });
        thread.join().expect("no panic");
        said.iter().collect()
    }

    #[test]
    fn a_context_that_is_destroyed_is_found_out_without_a_panic_that_leaves() {
        let nothing = || ();
        let context = || Context::map_current(|_| ());
        let asks = || assert!(has_context() && has_context());
        assert_eq!(late(nothing, asks), [false; 2]);
        assert_eq!(late(nothing, context), [false; 2], "nothing has asked before");
        assert_eq!(late(context, asks), [false; 2], "it may be there");
        assert_eq!(late(asks, nothing), [true; 2]);
        assert_eq!(late(nothing, nothing), [true; 2], "the context begins with the question");
    }
}
