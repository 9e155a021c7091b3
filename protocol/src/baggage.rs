//! The `baggage` header: Sentry's members apart from everybody else's.

use std::{borrow::Cow, convert::Infallible, fmt, str::FromStr};

use crate::{
    DynamicSamplingContext,
    percent::{self, Encoded},
};

/// What the key of every Sentry member begins with.
pub(crate) const PREFIX: &str = "sentry-";

/// A [W3C `baggage`] header, read from any number of header lines.
///
/// Sentry's members become a [`DynamicSamplingContext`]. All others are *foreign*: they belong to somebody else, are
/// kept byte for byte (properties such as `;ttl=1` too) and in order.
///
/// Reading never fails: a member without `=`, without a key, or with characters outside visible ASCII is left out, and
/// so is a Sentry member whose value is empty or not valid percent-encoded UTF-8. Of a key that comes twice the later
/// value counts. Printing keeps to [`MAX_BYTES`](Self::MAX_BYTES) and [`MAX_MEMBERS`](Self::MAX_MEMBERS), Sentry's
/// members first; a member that does not fit is left out, a smaller one after it is not.
///
/// ```
/// use opentelemetry_sentry_protocol::Baggage;
///
/// let baggage = Baggage::parse(["a=1;ttl=2, sentry-sampled=true", "b=%20"]);
/// assert_eq!(baggage.foreign().collect::<Vec<_>>(), ["a=1;ttl=2", "b=%20"]);
/// assert_eq!(baggage.to_string(), "sentry-sampled=true,a=1;ttl=2,b=%20");
/// ```
///
/// [W3C `baggage`]: https://www.w3.org/TR/baggage/
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage {
    dsc: Option<DynamicSamplingContext>,
    foreign: String,
}

impl Baggage {
    /// The name of the header, in lower case.
    pub const HEADER: &'static str = "baggage";

    /// The longest header that is printed, in bytes: the W3C limit that every SDK accepts.
    pub const MAX_BYTES: usize = 8192;

    /// The most members that are printed: the limit of OpenTelemetry's and of Sentry's Java SDK.
    pub const MAX_MEMBERS: usize = 64;

    /// Reads all `baggage` lines of a request.
    ///
    /// At most [`MAX_MEMBERS`](Self::MAX_MEMBERS) and [`MAX_BYTES`](Self::MAX_BYTES) of either kind are kept, as no
    /// more could be printed again. Of headers that are much longer only the first 64 KiB are read: this bounds the work
    /// that a hostile one can cause.
    #[must_use]
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut unread = MAX_READ;
        let lines = lines.into_iter().take_while(|line| {
            let is_read = unread > 0;
            unread = unread.saturating_sub(line.len());
            is_read
        });
        let members = lines.flat_map(|line| limited(line).split(',')).filter_map(Member::parse);
        let mut members = members.peekable();
        // Many requests have none, and the lists are kilobytes.
        if members.peek().is_none() {
            return Self::default();
        }
        let mut sentry = Members::default();
        let mut foreign = Members::default();
        for member in members {
            if member.is_sentry {
                sentry.keep(member);
            } else {
                foreign.keep(member);
            }
        }
        let dsc = (sentry.count > 0).then(|| DynamicSamplingContext::from_text(sentry.text()));
        Self { dsc, foreign: foreign.text() }
    }

    /// The Sentry members; `None` when there is not one.
    #[must_use]
    pub const fn dsc(&self) -> Option<&DynamicSamplingContext> {
        self.dsc.as_ref()
    }

    /// The Sentry members, taken out.
    #[must_use]
    pub fn into_dsc(self) -> Option<DynamicSamplingContext> {
        self.dsc
    }

    /// The members of others, as they came.
    pub fn foreign(&self) -> impl Iterator<Item = &str> {
        split(&self.foreign)
    }

    /// Takes the header apart into Sentry's members and the text of all others.
    #[must_use]
    pub fn into_parts(self) -> (Option<DynamicSamplingContext>, String) {
        (self.dsc, self.foreign)
    }

    /// Prints a header from its members within the limits; an empty text means that there is no header to send.
    #[must_use]
    pub fn print<'a>(dsc: &'a DynamicSamplingContext, foreign: impl Iterator<Item = Cow<'a, str>>) -> String {
        let mut header = Header { text: String::with_capacity(dsc.as_text().len() + FOREIGN_ROOM), count: 0 };
        let sentry = split(dsc.as_text()).map(Cow::Borrowed);
        for member in sentry.chain(foreign) {
            header.push(&member);
        }
        header.text
    }

    /// Prints one foreign member; properties that are not visible ASCII are left out.
    #[must_use]
    pub fn encode_member(key: &str, value: &str, properties: &str) -> String {
        let visible = !properties.is_empty() && is_visible(properties) && !properties.contains(',');
        let properties = if visible { format!(";{properties}") } else { String::new() };
        format!("{}={}{properties}", Encoded(key), Encoded(value))
    }

    /// Reads key and value of one foreign member without its properties; what cannot be decoded stays as it is.
    #[must_use]
    pub fn decode_member(member: &str) -> (Cow<'_, str>, Cow<'_, str>) {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        let (key, value) = (key.trim_matches(WHITE), value.split(';').next().unwrap_or_default().trim_matches(WHITE));
        let decode = |text| percent::decode(text).unwrap_or(Cow::Borrowed(text));
        (decode(key), decode(value))
    }
}

impl FromStr for Baggage {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse([text]))
    }
}

impl fmt::Display for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = DynamicSamplingContext::default();
        f.write_str(&Self::print(self.dsc.as_ref().unwrap_or(&none), self.foreign().map(Cow::Borrowed)))
    }
}

/// White space that may stand around every part.
const WHITE: [char; 2] = [' ', '\t'];

/// How many bytes of headers are read: several times what could be sent again.
const MAX_READ: usize = 64 << 10;

/// How much of a printed header is set aside for foreign members. With more, the text grows.
const FOREIGN_ROOM: usize = 256;

/// One member as it came.
#[derive(Clone, Copy, Debug, Default)]
struct Member<'a> {
    key: &'a str,
    /// Of a Sentry member its value, of a foreign one all of it.
    text: &'a str,
    is_sentry: bool,
    /// A Sentry member whose key has to be decoded before it is compared.
    is_escaped: bool,
}

impl<'a> Member<'a> {
    /// Reads a member that can be sent again.
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_matches(WHITE);
        let (key, value) = split_once(text, b'=')?;
        let (key, value) = (key.trim_matches(WHITE), value.trim_matches(WHITE));
        if key.is_empty() {
            return None;
        }
        match sentry_key(key) {
            None if key.starts_with(PREFIX) => None, // not decodable
            // W3C allows an empty value. What is sent again must be visible as a whole.
            None => is_visible(text).then_some(Self { key, text, is_sentry: false, is_escaped: false }),
            Some(name) if name.is_empty() || !is_visible(key) || !text.is_ascii() => None,
            Some(name) => {
                let text = split_once(value, b';').map_or(value, |(value, _)| value.trim_matches(WHITE));
                let is_escaped = matches!(name, Cow::Owned(_));
                let valid = !text.is_empty() && is_visible(text) && percent::is_valid(text);
                valid.then_some(Self { key, text, is_sentry: true, is_escaped })
            }
        }
    }

    /// Whether both keys mean the same. Only Sentry's are ours to decode.
    fn is_same_key(&self, other: &Self) -> bool {
        let escaped = self.is_escaped || other.is_escaped;
        self.key == other.key || (escaped && sentry_key(self.key) == sentry_key(other.key))
    }

    /// How long it is when printed.
    const fn len(&self) -> usize {
        let start = if self.is_sentry { self.key.len() + 1 } else { 0 };
        start + self.text.len()
    }

    fn print(&self, text: &mut String) {
        if self.is_sentry {
            push(text, self.key);
            text.push('=');
            text.push_str(self.text);
        } else {
            push(text, self.text);
        }
    }
}

/// Members of one kind within the limits, each key once.
#[derive(Debug)]
struct Members<'a> {
    list: [Member<'a>; Baggage::MAX_MEMBERS],
    count: usize,
    /// Of the text, commas included.
    bytes: usize,
}

impl<'a> Members<'a> {
    /// Adds a member if it fits, in the place of an earlier one with the same key.
    fn keep(&mut self, member: Member<'a>) {
        let (bytes, slot) = match self.members().position(|earlier| earlier.is_same_key(&member)) {
            Some(at) => (self.bytes - self.list[at].len() + member.len(), at),
            None => (self.bytes + usize::from(self.count > 0) + member.len(), self.count),
        };
        if bytes <= Baggage::MAX_BYTES && slot < self.list.len() {
            self.list[slot] = member;
            self.count = self.count.max(slot + 1);
            self.bytes = bytes;
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        self.list.iter().take(self.count)
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes);
        self.members().for_each(|member| member.print(&mut text));
        text
    }
}

impl Default for Members<'_> {
    fn default() -> Self {
        Self { list: [Member::default(); Baggage::MAX_MEMBERS], count: 0, bytes: 0 }
    }
}

/// A header that is printed under the limits.
struct Header {
    text: String,
    count: usize,
}

impl Header {
    /// Adds a member if it fits.
    fn push(&mut self, member: &str) {
        let comma = usize::from(!self.text.is_empty());
        if self.count < Baggage::MAX_MEMBERS && self.text.len() + comma + member.len() <= Baggage::MAX_BYTES {
            push(&mut self.text, member);
            self.count += 1;
        }
    }
}

/// Appends a member and, between two, a comma.
pub(crate) fn push(text: &mut String, member: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(member);
}

/// The decoded key of a Sentry member without its prefix; `None` for a foreign one.
pub(crate) fn sentry_key(key: &str) -> Option<Cow<'_, str>> {
    match percent::decode(key)? {
        Cow::Borrowed(key) => key.strip_prefix(PREFIX).map(Cow::Borrowed),
        Cow::Owned(key) => key.strip_prefix(PREFIX).map(|key| Cow::Owned(key.to_owned())),
    }
}

/// Splits at the first of a byte. For texts as short as a member this beats `str::split_once`.
pub(crate) fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|found| found == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Whether a header can carry it: anything else could not be sent again.
fn is_visible(text: &str) -> bool {
    // Not `all`, which looks at one byte at a time.
    text.bytes().fold(true, |visible, byte| visible & matches!(byte, b' '..=b'~'))
}

/// What is read of one line, cut between two members.
fn limited(line: &str) -> &str {
    match line.as_bytes().get(..MAX_READ) {
        Some(start) => start.iter().rposition(|byte| *byte == b',').map_or("", |end| &line[..end]),
        None => line,
    }
}

fn split(members: &str) -> impl Iterator<Item = &str> {
    members.split(',').filter(|member| !member.is_empty())
}
