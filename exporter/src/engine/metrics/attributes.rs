//! Sets of attributes as keys. Their order does not matter, and of a key that occurs twice the last value counts.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use opentelemetry::{Array, KeyValue, Value};
use papaya::Equivalent;

/// More attributes than this are sorted for each lookup. Comparing each key with all others takes quadratic time.
const MANY: usize = 16;

/// Canonical attributes: sorted by key, each key once.
#[derive(Debug)]
pub(super) struct AttributeSet {
    hash: u64,
    attributes: Box<[KeyValue]>,
}

/// Attributes as they were measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<'a> {
    hash: u64,
    attributes: &'a [KeyValue],
}

impl AttributeSet {
    pub(super) fn new(attributes: &[KeyValue], state: &RandomState) -> Self {
        let mut attributes = attributes.to_vec();
        // The sort is stable, so the last of each key stays the last.
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        attributes.reverse();
        attributes.dedup_by(|later, kept| later.key == kept.key);
        attributes.reverse();
        Self { hash: hash(&attributes, state), attributes: attributes.into() }
    }

    pub(super) fn as_slice(&self) -> &[KeyValue] {
        &self.attributes
    }

    /// About the bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.attributes.iter().map(|attribute| 64 + attribute.key.as_str().len() + size_of(&attribute.value)).sum()
    }

    pub(super) fn lookup(&self) -> Lookup<'_> {
        Lookup { hash: self.hash, attributes: &self.attributes }
    }
}

impl<'a> Lookup<'a> {
    /// `None` if the attributes must be made canonical first.
    #[inline]
    pub(super) fn new(attributes: &'a [KeyValue], state: &RandomState) -> Option<Self> {
        let is_repeated = |(place, attribute): (usize, &KeyValue)| {
            attributes.iter().skip(place + 1).any(|later| later.key == attribute.key)
        };
        if attributes.len() > 1 && (attributes.len() > MANY || attributes.iter().enumerate().any(is_repeated)) {
            return None;
        }
        Some(Self { hash: hash(attributes, state), attributes })
    }
}

impl Hash for AttributeSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for AttributeSet {
    fn eq(&self, other: &Self) -> bool {
        self.lookup().equivalent(other)
    }
}

impl Eq for AttributeSet {}

impl Equivalent<AttributeSet> for Lookup<'_> {
    fn equivalent(&self, set: &AttributeSet) -> bool {
        let (ours, theirs) = (self.attributes, &set.attributes);
        if self.hash != set.hash || ours.len() != theirs.len() {
            return false;
        }
        // Neither has a key twice, so each of ours in theirs is enough.
        let is_there = |ours: &KeyValue| theirs.iter().any(|theirs| is_same(ours, theirs));
        ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs)) || ours.iter().all(is_there)
    }
}

/// The order does not matter, so the hashes of the attributes are added.
#[inline]
fn hash(attributes: &[KeyValue], state: &RandomState) -> u64 {
    let sum = attributes.iter().map(|attribute| hash_of(attribute, state)).fold(0, u64::wrapping_add);
    // The map looks at some bits only.
    let mixed = u128::from(sum ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (mixed as u64) ^ ((mixed >> 64) as u64)
}

#[inline]
fn hash_of(attribute: &KeyValue, state: &RandomState) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(attribute.key.as_str().as_bytes());
    match &attribute.value {
        Value::Bool(value) => hasher.write_u8(u8::from(*value)),
        Value::I64(value) => hasher.write_i64(*value),
        Value::F64(value) => hasher.write_u64(value.to_bits()),
        Value::String(text) => hasher.write(text.as_str().as_bytes()),
        Value::Array(Array::Bool(all)) => all.hash(&mut hasher),
        Value::Array(Array::I64(all)) => all.hash(&mut hasher),
        Value::Array(Array::F64(all)) => all.iter().for_each(|value| hasher.write_u64(value.to_bits())),
        Value::Array(Array::String(all)) => all.iter().for_each(|text| hasher.write(text.as_str().as_bytes())),
        // A type that OpenTelemetry has added.
        other => hasher.write(other.as_str().as_bytes()),
    }
    hasher.finish()
}

/// Numbers are compared by their bits: NaN is not equal to itself, so each measurement with it would be a series.
#[inline]
fn is_same(one: &KeyValue, other: &KeyValue) -> bool {
    one.key == other.key
        && match (&one.value, &other.value) {
            (Value::String(one), Value::String(other)) => one == other,
            (Value::F64(one), Value::F64(other)) => one.to_bits() == other.to_bits(),
            (Value::Array(Array::F64(one)), Value::Array(Array::F64(other))) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.to_bits() == other.to_bits())
            }
            (one, other) => one == other,
        }
}

fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::Bool(all)) => all.len(),
        Value::Array(Array::I64(all)) => 8 * all.len(),
        Value::Array(Array::F64(all)) => 8 * all.len(),
        Value::Array(Array::String(all)) => all.iter().map(|text| 32 + text.as_str().len()).sum(),
        _ => 0,
    }
}

/// Hands on a hash that was made before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready(u64);

impl Hasher for Ready {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..3_i64).prop_map(Value::from),
            prop_oneof![Just(f64::NAN), Just(0.0), Just(-0.0), Just(1.5)].prop_map(Value::from),
            "[ab]?".prop_map(Value::from),
            vec(prop_oneof![Just(f64::NAN), Just(1.0)], 0..3).prop_map(|all| Value::Array(all.into())),
        ]
    }

    fn any_attributes() -> impl Strategy<Value = Vec<KeyValue>> {
        vec(("[abc]", any_value()).prop_map(|(key, value)| KeyValue::new(key, value)), 0..20)
    }

    /// The last value of each key, as text: another way to say what a set is.
    fn meaning(attributes: &[KeyValue]) -> std::collections::BTreeMap<String, String> {
        attributes.iter().map(|one| (one.key.to_string(), format!("{:?}", one.value))).collect()
    }

    proptest! {
        #[test]
        fn sets_are_equal_if_they_mean_the_same(a in any_attributes(), b in any_attributes(), shuffle: bool) {
            let state = RandomState::default();
            let mut b = if shuffle { a.iter().chain(&b).cloned().collect() } else { b };
            if shuffle {
                b.truncate(a.len());
                b.reverse();
            }
            let (one, other) = (AttributeSet::new(&a, &state), AttributeSet::new(&b, &state));
            prop_assert_eq!(one == other, meaning(&a) == meaning(&b));
            prop_assert_eq!(meaning(one.as_slice()), meaning(&a));
            if let Some(lookup) = Lookup::new(&b, &state) {
                prop_assert_eq!(lookup.equivalent(&one), meaning(&a) == meaning(&b));
            }
        }
    }
}
