//! Spans of queries: from events as `sqlx` emits them, and from `sqlx` with real databases.

mod built;
mod doubled;
mod events;
mod hidden;
mod postgres;
mod sqlite;
mod support;
