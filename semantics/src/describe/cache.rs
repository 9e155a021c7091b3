//! Spans of caches. The rules are in the guide, page `mapping`, section "Caches".

use std::borrow::Cow;

use super::description::{Described, Description, Source};
use crate::{attributes::Attributes, semconv};

/// Commands of Redis, and the operation of a cache that each is. They count only on a span that has a key of a cache.
const COMMANDS: [(&str, &str); 13] = [
    ("GET", "cache.get"),
    ("GETEX", "cache.get"),
    ("HGET", "cache.get"),
    ("MGET", "cache.get"),
    ("DEL", "cache.remove"),
    ("GETDEL", "cache.remove"),
    ("HDEL", "cache.remove"),
    ("UNLINK", "cache.remove"),
    ("HSET", "cache.put"),
    ("MSET", "cache.put"),
    ("PSETEX", "cache.put"),
    ("SET", "cache.put"),
    ("SETEX", "cache.put"),
];

/// In a transaction, a span of a cache is named by its keys.
pub(super) fn describe<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let op = Some(op(span)?);
    let keys = span.attributes.texts(semconv::CACHE_KEY);
    Some(match keys[..] {
        [] => Description { op, name: Cow::Borrowed(span.name), source: Source::Custom },
        [key] => Description { op, name: Cow::Borrowed(key), source: Source::Task },
        _ => Description { op, name: Cow::Owned(keys.join(", ")), source: Source::Task },
    })
}

/// In a stream, where a name must not contain a key, it is named by its op.
pub(super) fn describe_streamed<'a>(span: &Described<'a, '_>) -> Option<Description<'a>> {
    let op = op(span)?;
    Some(Description { op: Some(op.clone()), name: op, source: Source::Task })
}

/// The op of a cache. A database without attributes of a cache is not a cache.
fn op<'a>(span: &Described<'a, '_>) -> Option<Cow<'a, str>> {
    let Described { op, attributes, .. } = *span;
    let own = op.filter(|op| op.starts_with("cache.")).map(|op| Cow::Owned(op.to_owned()));
    let named = || attributes.text(semconv::CACHE_OPERATION).map(|operation| Cow::Owned(format!("cache.{operation}")));
    let read = || attributes.get(semconv::CACHE_HIT).map(|_| Cow::Borrowed("cache.get"));
    own.or_else(named).or_else(read).or_else(|| of_command(attributes).map(Cow::Borrowed))
}

/// The op of a command that has a key of a cache.
fn of_command(attributes: Attributes<'_>) -> Option<&'static str> {
    attributes.get(semconv::CACHE_KEY)?;
    let name = attributes.first_text([semconv::DB_OPERATION_NAME, semconv::DB_OPERATION]);
    let query = || attributes.first_text([semconv::DB_QUERY_TEXT, semconv::DB_STATEMENT]);
    let command = name.or_else(query)?;
    let word = command.split_whitespace().next()?;
    COMMANDS.iter().find(|(command, _)| command.eq_ignore_ascii_case(word)).map(|(_, op)| *op)
}
