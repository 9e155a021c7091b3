//! The nesting of a request in protocol buffers: <https://protobuf.dev/programming-guides/encoding/>.

use super::splitter::{Level, Nesting, Splitter};

/// The fields of resources in a request, of scopes in a resource and of records in a scope.
const RESOURCES: u64 = 1;
const SCOPES: u64 = 2;
const RECORDS: u64 = 2;

/// The most bytes of a field's number and length.
const MAX_TAG: usize = 12;

/// The bytes are not a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A field of a message.
struct Field<'a> {
    number: u64,
    /// The whole field.
    raw: &'a [u8],
    /// What a field with a length contains.
    content: Option<&'a [u8]>,
}

/// Reads the fields of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<Field<'a>> {
        let all = self.0;
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.bytes(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| None)?,
            // Groups, which the third version of protocol buffers does not have.
            _ => return None,
        };
        let raw = all.get(..all.len() - self.0.len())?;
        Some(Field { number: tag >> 3, raw, content }).filter(|field| field.number > 0)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read().ok_or(Malformed);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The records that a request has, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Count {
    /// Reads a request. If it is no message, what was found in it stays.
    pub(super) fn read(&mut self, request: &[u8]) -> Result<(), Malformed> {
        for resource in nested(request, RESOURCES) {
            for scope in nested(resource?.content, SCOPES) {
                for record in nested(scope?.content, RECORDS) {
                    self.records += 1;
                    self.bytes += record?.raw.len();
                }
            }
        }
        Ok(())
    }
}

/// Hands the records of a request over, with what describes their scopes and resources.
pub(super) fn split(request: &[u8], splitter: &mut Splitter<Protobuf>) -> Result<(), Malformed> {
    for resource in nested(request, RESOURCES) {
        let resource = resource?.content;
        splitter.begin_resource(rest(resource, SCOPES));
        for scope in nested(resource, SCOPES) {
            let scope = scope?.content;
            splitter.begin_scope(rest(scope, RECORDS));
            for record in nested(scope, RECORDS) {
                splitter.add(record?.raw);
            }
        }
    }
    Ok(())
}

/// A message in a message.
struct Nested<'a> {
    raw: &'a [u8],
    content: &'a [u8],
}

/// The messages in a message that have this number.
fn nested(message: &[u8], number: u64) -> impl Iterator<Item = Result<Nested<'_>, Malformed>> {
    Fields(message).filter_map(move |field| match field {
        Ok(Field { number: found, raw, content: Some(content) }) if found == number => {
            Some(Ok(Nested { raw, content }))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// All other fields of a message.
fn rest(message: &[u8], number: u64) -> Vec<u8> {
    let mut rest = Vec::new();
    for field in Fields(message).flatten().filter(|field| field.number != number || field.content.is_none()) {
        rest.extend_from_slice(field.raw);
    }
    rest
}

/// The nesting of messages.
#[derive(Debug)]
pub(super) struct Protobuf;

impl Nesting for Protobuf {
    const OVERHEAD: usize = 2 * MAX_TAG;

    fn add_record(&self, list: &mut Vec<u8>, record: &[u8]) {
        list.extend_from_slice(record);
    }

    fn add(&self, list: &mut Vec<u8>, level: Level, rest: &[u8], inner: &[u8]) {
        let number = match level {
            Level::Resource => RESOURCES,
            Level::Scope => SCOPES,
        };
        for mut varint in [number << 3 | 2, (rest.len() + inner.len()) as u64] {
            while varint > 0x7f {
                list.push(varint as u8 | 0x80);
                varint >>= 7;
            }
            list.push(varint as u8);
        }
        list.extend_from_slice(rest);
        list.extend_from_slice(inner);
    }

    fn finish(&self, resources: Vec<u8>) -> Vec<u8> {
        resources
    }
}
