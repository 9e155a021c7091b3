//! async-graphql executes a query under a request.

use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema, SimpleObject, extensions::Tracing};
use opentelemetry_sentry::TraceLifecycle;
use serde_json::Value;

use crate::{Claim, Failure, same, sent};

struct Query;

#[derive(SimpleObject)]
struct User {
    name: String,
    friends: Vec<Friend>,
}

#[derive(SimpleObject)]
struct Friend {
    name: String,
}

#[Object]
impl Query {
    async fn me(&self) -> User {
        let friend = |name: &str| Friend { name: name.to_owned() };
        User { name: "Ada".to_owned(), friends: vec![friend("Bob"), friend("Eve")] }
    }
}

async fn execute() -> Result<(), Failure> {
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).extension(Tracing).finish();
    let response = schema.execute("query Me { me { name friends { name } } }").await;
    if response.errors.is_empty() { Ok(()) } else { Err(format!("{:?}", response.errors).into()) }
}

pub(crate) async fn claims() -> Result<Vec<Claim>, Failure> {
    let ingest = sent(TraceLifecycle::Transactions, execute()).await?;
    let sent = &ingest.transactions()[0];
    let spans: Vec<Value> = sent["spans"].as_array().cloned().unwrap_or_default();
    let names = |op: &str| {
        let mut names: Vec<_> =
            spans.iter().filter(|span| span["op"] == op).map(|span| span["description"].to_string()).collect();
        names.sort();
        names.dedup();
        names.join(" ")
    };
    let fields = || spans.iter().filter(|span| span["description"].as_str().is_some_and(|name| name.contains('.')));
    let largest = fields().map(|span| span["data"].to_string().len()).max();
    let repeats = fields().filter(|span| span["data"].to_string().contains("query Me")).count();
    Ok(vec![
        same("async-graphql: the operation is in the name", sent["transaction"].as_str(), Some("POST /ask (query Me)")),
        same("async-graphql: all spans are of GraphQL", names("function").as_str(), ""),
        same(
            "async-graphql: the names",
            names("graphql").as_str(),
            r#""Query.me" "User.friends" "[Friend!].friends" "execute" "parse" "request" "validation""#,
        ),
        same("async-graphql: a field has at most 300 bytes of data", largest.is_some_and(|bytes| bytes <= 300), true),
        same("async-graphql: no field repeats the query", repeats, 0),
    ])
}
