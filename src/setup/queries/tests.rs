//! What is read from statements.

use opentelemetry_sentry_vectors::each;
use proptest::prelude::*;
use serde::Deserialize;

use super::{Known, statement::Statement};

#[derive(Deserialize)]
struct Case {
    sql: String,
    operation: String,
    summary: String,
    collection: Option<String>,
    #[serde(default)]
    procedure: Option<String>,
    system: Option<String>,
    #[serde(default, rename = "differs")]
    _differs: Option<String>,
}

#[test]
fn statements_are_read_as_the_cases_say() {
    each("queries", |case: &Case| {
        let read = Statement::read(&case.sql);
        let Statement { operation, summary, collection, procedure, dialect } = read;
        assert_eq!((&operation, &summary), (&case.operation, &case.summary));
        assert_eq!((&collection, &procedure), (&case.collection, &case.procedure));
        assert_eq!(dialect, case.system.as_deref());
    });
}

#[test]
fn the_system_is_the_surest_one_that_is_known() {
    let system = |set: Option<&str>, scheme: Option<&str>, sql: &str| {
        Known::new(set.map(str::to_owned), scheme).system_of(&Statement::read(sql)).to_owned()
    };
    for (set, scheme, sql, expected) in [
        (None, None, "SELECT 1", "other_sql"),
        (None, Some("postgres"), "SELECT 1", "postgresql"),
        (None, Some("MySQL"), "SELECT 1", "mysql"),
        (None, Some("mysql"), "SELECT $1", "postgresql"),
        (None, Some("sqlite"), "SELECT $1", "sqlite"),
        (None, Some("https"), "SELECT 1", "other_sql"),
        (Some("cockroachdb"), Some("postgres"), "SELECT $1", "cockroachdb"),
        (Some(""), Some("postgres"), "SELECT 1", "postgresql"),
    ] {
        assert_eq!(system(set, scheme, sql), expected, "{set:?} {scheme:?} {sql}");
    }
}

#[test]
fn the_thread_of_sqlite_is_surer_than_everything_else() {
    let system =
        || Known::new(Some("mysql".into()), Some("postgres")).system_of(&Statement::read("SELECT $1")).to_owned();
    let thread = std::thread::Builder::new().name("sqlx-sqlite-worker-7".into()).spawn(system).expect("a thread");
    assert_eq!(thread.join().expect("no panic"), "sqlite");
}

#[test]
fn a_long_statement_is_read_in_part_and_its_summary_is_short() {
    let long = format!("SELECT {} FROM late", "1, ".repeat(10_000));
    assert_eq!(Statement::read(&long).summary, "SELECT");
    let many = format!("SELECT 1 FROM {}", vec!["a_table_with_a_name"; 100].join(", "));
    let summary = Statement::read(&many).summary;
    assert!((230..=255).contains(&summary.len()), "{}", summary.len());
    let deep = format!("SELECT {}1 FROM hidden{} FROM users", "(".repeat(1000), ")".repeat(1000));
    assert_eq!(Statement::read(&deep).summary, "SELECT users");
}

fn sql() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("SELECT"),
        Just("FROM"),
        Just("WITH"),
        Just("AS"),
        Just("("),
        Just(")"),
        Just(","),
        Just("'"),
        Just("\""),
        Just("`"),
        Just("$"),
        Just("$1"),
        Just("$x$"),
        Just("?"),
        Just("--"),
        Just("\n"),
        Just("/*"),
        Just("*/"),
        Just("."),
        Just("é"),
        Just("users"),
        Just("UPDATE"),
        Just(";"),
        Just("@a"),
        Just("::"),
        Just("JOIN"),
    ];
    let words = prop::collection::vec(word, 0..60);
    (words, prop_oneof![Just(""), Just(" ")]).prop_map(|(words, between)| words.join(between))
}

proptest! {
    #[test]
    fn no_statement_panics_and_every_summary_is_short(text in prop_oneof![sql(), ".*"]) {
        let read = Statement::read(&text);
        prop_assert!(read.summary.len() <= 255);
        prop_assert!(read.summary.starts_with(&read.operation) || read.operation.len() > 255);
    }

    #[test]
    fn blanks_between_words_do_not_matter(words in prop::collection::vec("[a-z]{1,5}|\\(|\\)|,|\\$1", 0..30)) {
        let [one, many] = [" ", "\n\t "].map(|blanks| Statement::read(&words.join(blanks)));
        prop_assert_eq!(one, many);
    }
}
