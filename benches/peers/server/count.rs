//! How many spans or logs a request has.

/// In an envelope, each span has one `span_id`: those of a transaction, its trace context, and streamed ones. Each log has
/// one `body`, and no span here.
pub fn in_envelope(body: &[u8]) -> usize {
    let count = |key: &[u8]| memchr::memmem::find_iter(body, key).count();
    count(b"\"span_id\":\"") + count(b"\"body\":\"")
}

/// In an `ExportTraceServiceRequest`: it has `ResourceSpans`, these have `ScopeSpans`, and these have spans.
pub fn in_otlp(body: &[u8]) -> usize {
    Messages(body, 1).flat_map(|resource| Messages(resource, 2)).map(|scope| Messages(scope, 2).count()).sum()
}

/// The messages in a protobuf message that have a field number. It ends where the bytes are invalid.
struct Messages<'a>(&'a [u8], u64);

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (tag, rest) = varint(self.0)?;
            let (value, rest) = match tag & 7 {
                0 => (None, varint(rest)?.1),
                1 => (None, rest.get(8..)?),
                2 => {
                    let (length, rest) = varint(rest)?;
                    let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                    (Some(value), rest)
                }
                5 => (None, rest.get(4..)?),
                _ => return None,
            };
            self.0 = rest;
            if tag >> 3 == self.1 && value.is_some() {
                return value;
            }
        }
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            return Some((number, &bytes[place + 1..]));
        }
    }
    None
}
