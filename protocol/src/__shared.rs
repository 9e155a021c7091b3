//! What this crate shares with its siblings: public for the compiler only, and free to change in any release.

pub mod hex;
pub mod own_thread;
