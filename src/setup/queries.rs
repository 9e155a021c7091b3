//! Spans of queries, from the events that `sqlx` logs. The rules are in the guide, page `queries`.

mod event;
mod layer;
mod statement;
mod system;

#[cfg(test)]
mod tests;

pub use self::layer::{QueryFilter, QueryLayer, QuerySpans, WithoutQueries};
pub(super) use self::system::Known;
