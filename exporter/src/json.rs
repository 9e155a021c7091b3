//! How does a value become JSON? This room writes what `serde` describes into a buffer of limited size.
//!
//! Events are written for every trace, so it does only what they need: no indentation, only texts as keys, no
//! variants with fields. The bytes are those of `serde_json`, which reads and writes everything else.
//!
//! | file | contains |
//! | --- | --- |
//! | `writer` | the buffer and its limit: texts, numbers, commas |
//! | `serializer` | the same as a [`serde::Serializer`] |
//! | `ready` | JSON that is written once and then copied |

mod ready;
mod serializer;
#[cfg(test)]
mod tests;
mod writer;

use serde::Serialize;

use self::writer::Writer;
pub(crate) use self::{
    ready::{Entries, Ready, takes_ready},
    writer::Unwritable,
};

/// Writes a value, and returns its size. If the buffer is smaller, its content is of no use: what does not fit is only
/// counted, however long escaping makes a text.
pub(crate) fn write(buffer: &mut [u8], value: &impl Serialize) -> Result<usize, Unwritable> {
    let mut writer = Writer::new(buffer);
    value.serialize(&mut writer)?;
    Ok(writer.size())
}

/// The size of a value as JSON, in bytes; 0 if it cannot be written.
pub(crate) fn size(value: &impl Serialize) -> usize {
    write(&mut [], value).unwrap_or(0)
}

/// A value that is usually short, in a buffer of its size. Empty if it has no JSON.
pub(crate) fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let mut short = [0; 1024];
    let size = write(&mut short, value).unwrap_or(0);
    if let Some(json) = short.get(..size) {
        return json.to_vec();
    }
    let mut long = vec![0; size];
    // It was written before, so it is written again.
    let _ = write(&mut long, value);
    long
}
