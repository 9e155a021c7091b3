//! The settings of the facade for spans of queries.

use super::builder::SentryBuilder;

impl SentryBuilder {
    /// Sets whether the queries of `sqlx`, and of what is built on it, become spans. Defaults to `true`. See the guide, page
    /// [`queries`](crate::guide::queries).
    ///
    /// ```
    /// use opentelemetry_sentry::Sentry;
    ///
    /// let builder = Sentry::builder().with_query_spans(false);
    /// ```
    pub const fn with_query_spans(mut self, on: bool) -> Self {
        self.query_spans = on;
        self
    }

    /// Sets the database of these spans, in OpenTelemetry's words, such as `postgresql` or `mysql`. Defaults to the database in
    /// whose dialect the statement is written, else to that of `DATABASE_URL`, else to `other_sql`. SQLite is recognised
    /// without it.
    pub fn with_database_system(mut self, system: impl Into<String>) -> Self {
        self.database_system = Some(system.into());
        self
    }
}
