//! The nesting of a request in protocol buffers: <https://protobuf.dev/programming-guides/encoding/>.

use std::ops::Range;

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

/// The records of a request, and the rest of their scopes and resources.
#[derive(Debug, Default)]
pub(super) struct Records<'a> {
    /// The other fields of each resource and of each scope: what describes them.
    resources: Vec<Vec<&'a [u8]>>,
    scopes: Vec<Vec<&'a [u8]>>,
    records: Vec<Record<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Record<'a> {
    resource: usize,
    scope: usize,
    raw: &'a [u8],
}

impl<'a> Records<'a> {
    /// Reads a request. If it is no message, the records that were found stay.
    pub(super) fn read(&mut self, request: &'a [u8]) -> Result<(), Malformed> {
        for field in Fields(request) {
            if let Field { number: RESOURCES, content: Some(resource), .. } = field? {
                self.read_resource(resource)?;
            }
        }
        Ok(())
    }

    fn read_resource(&mut self, resource: &'a [u8]) -> Result<(), Malformed> {
        let place = self.resources.len();
        self.resources.push(Vec::new());
        for field in Fields(resource) {
            match field? {
                Field { number: SCOPES, content: Some(scope), .. } => self.read_scope(place, scope)?,
                other => self.resources[place].push(other.raw),
            }
        }
        Ok(())
    }

    fn read_scope(&mut self, resource: usize, scope: &'a [u8]) -> Result<(), Malformed> {
        let place = self.scopes.len();
        self.scopes.push(Vec::new());
        for field in Fields(scope) {
            match field? {
                Field { number: RECORDS, content: Some(_), raw } => {
                    self.records.push(Record { resource, scope: place, raw });
                }
                other => self.scopes[place].push(other.raw),
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The bytes of these records alone.
    pub(super) fn bytes(&self, part: Range<usize>) -> usize {
        self.records[part].iter().map(|record| record.raw.len()).sum()
    }

    /// Which records leave together, so that no part is larger than this, unless it is a single record.
    pub(super) fn parts(&self, largest: usize) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut size = 0;
        for (place, record) in self.records.iter().enumerate() {
            let before = place.checked_sub(1).map(|before| &self.records[before]);
            let alone = record.raw.len() + self.size_of_place(record);
            let more = match before {
                Some(before) if before.scope == record.scope => record.raw.len(),
                _ => alone,
            };
            match parts.last_mut().filter(|_| size + more <= largest) {
                Some(part) => {
                    part.end = place + 1;
                    size += more;
                }
                None => {
                    parts.push(place..place + 1);
                    size = alone;
                }
            }
        }
        parts
    }

    /// What the resource and the scope of a record take in a request.
    fn size_of_place(&self, record: &Record<'_>) -> usize {
        let rest = self.resources[record.resource].iter().chain(&self.scopes[record.scope]);
        rest.map(|field| field.len()).sum::<usize>() + 2 * MAX_TAG
    }

    /// A request with these records, in the same resources and scopes.
    pub(super) fn write(&self, part: Range<usize>) -> Vec<u8> {
        let mut request = Vec::new();
        for of_resource in self.records[part].chunk_by(|a, b| a.resource == b.resource) {
            let mut resource = self.resources[of_resource[0].resource].concat();
            for of_scope in of_resource.chunk_by(|a, b| a.scope == b.scope) {
                let mut scope = self.scopes[of_scope[0].scope].concat();
                of_scope.iter().for_each(|record| scope.extend_from_slice(record.raw));
                write_field(&mut resource, SCOPES, &scope);
            }
            write_field(&mut request, RESOURCES, &resource);
        }
        request
    }
}

/// Writes a field with a length.
fn write_field(message: &mut Vec<u8>, number: u64, content: &[u8]) {
    for mut rest in [number << 3 | 2, content.len() as u64] {
        while rest > 0x7f {
            message.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        message.push(rest as u8);
    }
    message.extend_from_slice(content);
}
