//! How errors print in `Debug`.

/// Makes errors print their message and its causes in `Debug`. A `main` that returns an error prints it in this way, and
/// users read it.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug_as_message {
    ($error:ty) => {
        impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{self}")?;
                $crate::__shared::causes(self).try_for_each(|cause| write!(f, ": {cause}"))
            }
        }
    };
}

pub use __debug_as_message as debug_as_message;
