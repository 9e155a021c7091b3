use std::{collections::BTreeMap, iter};

use proptest::{collection::vec, prelude::*};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};

use super::{Entries, Ready, size, to_vec, write};

/// What a value becomes; `None` if it has no JSON.
fn written(value: &impl Serialize) -> Option<String> {
    let mut buffer = [0; 50_000];
    let size = write(&mut buffer, value).ok()?;
    Some(String::from_utf8(buffer[..size].to_vec()).unwrap())
}

/// Texts of all characters, and more often of those that may be escaped.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![any::<char>(), (0..=0x7f_u8).prop_map(char::from), Just('"'), Just('\\')];
    vec(character, 0..40).prop_map(String::from_iter)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u64>().prop_map(|bits| Value::from(f64::from_bits(bits))),
        any::<f32>().prop_map(|number| Value::from(f64::from(number))),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 60, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            vec((text(), inner), 0..8).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// One field for each kind of value that `serde` knows, except variants with fields.
#[derive(Debug, Serialize)]
struct Kinds {
    float: f64,
    short: f32,
    small: (i8, u8, i16, u16, i32, u32),
    large: (i128, u128),
    #[serde(flatten)]
    inner: Inner,
    #[serde(rename = "a \"name\"")]
    renamed: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<bool>,
    empty: ([(); 0], BTreeMap<String, u8>, ()),
}

#[derive(Debug, Serialize)]
struct Inner {
    character: char,
    option: Option<Wrapped>,
    unit: Unit,
    pair: Pair,
}

#[derive(Debug, Serialize)]
struct Wrapped(u64);

#[derive(Debug, Serialize)]
struct Unit;

#[derive(Debug, Serialize)]
struct Pair(bool, String);

#[derive(Debug, Serialize)]
enum Word {
    One,
}

proptest! {
    #[test]
    fn a_value_becomes_the_same_as_by_serde_json(value in value()) {
        prop_assert_eq!(written(&value), serde_json::to_string(&value).ok());
    }

    #[test]
    fn every_kind_of_value_becomes_the_same_as_by_serde_json(
        bits in any::<u64>(), short in any::<u32>(), small in any::<(i8, u8, i16, u16, i32, u32)>(),
        large in any::<(i128, u128)>(), character in any::<char>(), option in any::<Option<u64>>(), text in text(),
    ) {
        let inner = Inner { character, option: option.map(Wrapped), unit: Unit, pair: Pair(true, text) };
        let (float, short) = (f64::from_bits(bits), f32::from_bits(short));
        let empty = ([], BTreeMap::new(), ());
        let kinds = Kinds { float, short, small, large, inner, renamed: Word::One, missing: None, empty };
        prop_assert_eq!(written(&kinds), serde_json::to_string(&kinds).ok());
    }

    #[test]
    fn what_does_not_fit_is_counted(value in value(), room in 0..200_usize) {
        let whole = serde_json::to_vec(&value).unwrap();
        let mut buffer = vec![0; room];
        prop_assert_eq!(write(&mut buffer, &value).unwrap(), whole.len());
        prop_assert_eq!(size(&value), whole.len());
        prop_assert!(whole.len() > room || buffer.starts_with(&whole));
    }
}

#[test]
fn short_and_long_values_get_buffers_of_their_size() {
    for length in [0, 1, 1021, 1022, 1023, 5000] {
        let text = "x".repeat(length);
        assert_eq!(to_vec(&text), format!("\"{text}\"").into_bytes());
    }
    assert_eq!(to_vec(&BTreeMap::from([(1, 2)])), b"");
}

/// An object that begins with ready entries.
struct WithReady<'a>(&'a Entries, &'a [u8]);

impl Serialize for WithReady<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.write(&mut map)?;
        map.serialize_entry("last", &Ready(self.1))?;
        map.end()
    }
}

#[test]
fn ready_entries_stand_among_others() {
    for (entries, wanted) in [
        (vec![], r#"{"last":[1]}"#),
        (vec![("a", 1)], r#"{"a":1,"last":[1]}"#),
        (vec![("c \"b\"", 1), ("a", 2)], r#"{"c \"b\"":1,"a":2,"last":[1]}"#),
    ] {
        let ready = Entries::new(&entries);
        assert!(ready.keys().eq(entries.iter().map(|(key, _)| *key)));
        assert_eq!(written(&WithReady(&ready, b"[1]")).as_deref(), Some(wanted));
        for room in 0..wanted.len() {
            assert_eq!(write(&mut vec![0; room], &WithReady(&ready, b"[1]")).ok(), Some(wanted.len()), "{room}");
        }
    }
}

#[test]
fn infinities_become_null() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(written(&number).as_deref(), Some("null"));
    }
}

/// The words of eight bytes and the rest of a text are looked at in different ways.
#[test]
fn what_must_be_escaped_is_found_at_every_place() {
    for (length, place) in (0..40).flat_map(|length| (0..length).map(move |place| (length, place))) {
        for character in ['"', '\\', '\n', '\u{0}', '\u{1f}', '\u{7f}', ' ', '!', '#', '[', ']', '\u{80}', 'é'] {
            let text: String =
                iter::repeat_n('x', place).chain([character]).chain(iter::repeat_n('y', length)).collect();
            assert_eq!(written(&text), serde_json::to_string(&text).ok());
        }
    }
}

#[test]
fn keys_that_are_no_texts_and_variants_with_fields_have_no_json() {
    #[derive(Serialize)]
    enum Variants {
        Newtype(u8),
        Tuple(u8, u8),
        Struct { field: u8 },
    }
    assert_eq!(written(&BTreeMap::from([(1, 2)])), None);
    for variant in [Variants::Newtype(1), Variants::Tuple(1, 2), Variants::Struct { field: 1 }] {
        assert_eq!(written(&variant), None);
    }
    assert_eq!(written(&json!({ "1": [null, {}] })).as_deref(), Some(r#"{"1":[null,{}]}"#));
}
