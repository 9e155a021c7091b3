//! How much memory attributes hold.

use opentelemetry::{Array, KeyValue, Value};

/// The memory of attributes, in bytes, with the spare room of their list.
pub(super) fn size_of_attributes(attributes: &Vec<KeyValue>) -> usize {
    let mut size = attributes.capacity() * size_of::<KeyValue>();
    for attribute in attributes {
        size += attribute.key.as_str().len();
        size += match &attribute.value {
            Value::String(text) => text.as_str().len(),
            Value::Array(array) => size_of_array(array),
            _ => 0,
        };
    }
    size
}

/// Apart from the loop, because arrays are rare.
#[inline(never)]
fn size_of_array(array: &Array) -> usize {
    match array {
        Array::Bool(values) => values.len(),
        Array::I64(values) => size_of_val(values.as_slice()),
        Array::F64(values) => size_of_val(values.as_slice()),
        Array::String(values) => values.iter().map(|text| size_of_val(text) + text.as_str().len()).sum(),
        _ => 0,
    }
}
