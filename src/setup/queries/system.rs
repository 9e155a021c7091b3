//! Which database a query ran on. The events do not say it.

use std::thread;

use super::statement::Statement;

/// The name of OpenTelemetry for a database that is not known.
const OTHER: &str = "other_sql";

/// How the threads are called on which `sqlx` runs SQLite, unless the application names them otherwise.
const SQLITE_THREAD: &str = "sqlx-sqlite-worker-";

/// What is known before any query.
#[derive(Clone, Debug, Default)]
pub(in crate::setup) struct Known {
    /// What the application says.
    set: Option<String>,
    /// The database of `DATABASE_URL`.
    of_url: Option<&'static str>,
}

impl Known {
    /// From what the application says, and the scheme of `DATABASE_URL`.
    pub(in crate::setup) fn new(set: Option<String>, scheme: Option<&str>) -> Self {
        Self { set: set.filter(|set| !set.is_empty()), of_url: scheme.and_then(system_of_scheme) }
    }

    pub(super) fn with_system(&self, system: String) -> Self {
        Self { set: Some(system).filter(|system| !system.is_empty()), ..*self }
    }

    /// The system of a statement whose event is emitted by this thread.
    pub(super) fn system_of<'a>(&'a self, statement: &Statement) -> &'a str {
        if is_sqlite_thread() {
            return "sqlite";
        }
        // The variable is only a guess in a process with several databases, and a dialect is a proof. SQLite has the
        // placeholders of all the others.
        let dialect = statement.dialect.filter(|_| self.of_url != Some("sqlite"));
        self.set.as_deref().or(dialect).or(self.of_url).unwrap_or(OTHER)
    }
}

fn is_sqlite_thread() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with(SQLITE_THREAD))
}

/// The database that the scheme of a URL names, in OpenTelemetry's words.
fn system_of_scheme(scheme: &str) -> Option<&'static str> {
    const SCHEMES: [(&str, &str); 8] = [
        ("postgres", "postgresql"),
        ("postgresql", "postgresql"),
        ("mysql", "mysql"),
        ("mariadb", "mariadb"),
        ("sqlite", "sqlite"),
        ("mssql", "microsoft.sql_server"),
        ("sqlserver", "microsoft.sql_server"),
        ("cockroachdb", "cockroachdb"),
    ];
    SCHEMES.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name)).map(|(_, system)| *system)
}
