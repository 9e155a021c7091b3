//! Types for cases that serde's own attributes would not read strictly.

use std::{fmt, marker::PhantomData, mem};

use serde::{
    Deserialize,
    de::{
        Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Error;

use crate::json::{Entries, Json};

/// One object that two structs read: `A` the keys that it has fields for, `B` all others.
///
/// Used instead of `#[serde(flatten)]`, which drops keys that neither struct has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests match on it")]
pub struct Joined<A, B>(pub A, pub B);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for Joined<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Json::Object(mut entries) = Json::deserialize(deserializer)? else {
            return Err(D::Error::custom("expected an object"));
        };
        let first = A::deserialize(OwnFields(&mut entries)).map_err(D::Error::custom)?;
        let second = B::deserialize(Json::Object(entries)).map_err(D::Error::custom)?;
        Ok(Self(first, second))
    }
}

/// Hands a struct the entries that it has fields for, and leaves the others.
struct OwnFields<'a>(&'a mut Vec<(String, Json)>);

impl<'de> Deserializer<'de> for OwnFields<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let is_own = |(key, _): &(String, Json)| fields.contains(&key.as_str());
        let (own, others) = mem::take(self.0).into_iter().partition(is_own);
        *self.0 = others;
        visitor.visit_map(Entries::new(own))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("the first type of `Joined` must be a struct without `#[serde(flatten)]`"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A text, or an object or a list where a text would be too long or would say too little.
///
/// Used instead of an untagged enum, which drops unknown keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "tests match on it")]
pub enum TextOr<T> {
    /// A JSON string.
    Text(String),
    /// A JSON object or list.
    Other(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

struct TextOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrVisitor<T> {
    type Value = TextOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, an object or a list")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(TextOr::Text(text.to_owned()))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Other)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<Self::Value, S::Error> {
        T::deserialize(SeqAccessDeserializer::new(list)).map(TextOr::Other)
    }
}
