//! What the sibling crates use of this one. It is public for the compiler only and may change in any release.

mod arrivals;
mod causes;
mod contain;
mod databases;
mod debug;
mod ending_thread;
mod feedback;
pub mod hex;
pub mod monitored;
pub mod not_sampled;
pub mod own_thread;
mod probe;
mod setting_error;
mod streaming;

pub use self::{
    arrivals::Arrivals,
    causes::{MAX_CAUSES, causes},
    contain::{contain, forget},
    databases::Databases,
    debug::debug_as_message,
    ending_thread::has_context,
    feedback::Feedback,
    probe::Probe,
    setting_error::SettingError,
    streaming::Streaming,
};
pub use crate::header::is_visible;
