//! The `baggage` header: Sentry's members, and those of other vendors.

use std::{borrow::Cow, convert::Infallible, fmt, str::FromStr};

use crate::{
    dsc::DynamicSamplingContext,
    header::{is_visible, trim},
    member::{PREFIX, push, sentry_key, split, split_once},
    percent::{self, Encoded},
};

/// A [W3C `baggage`] header, read from any number of header lines.
///
/// Sentry's members become a [`DynamicSamplingContext`]. All others are *foreign*: they belong to other vendors or to
/// the application, and are kept byte for byte (including properties such as `;ttl=1`) and in order.
///
/// Reading never fails. A member is skipped if it has no `=`, no key, or characters outside visible ASCII; a Sentry
/// member also if its value is empty or not valid percent-encoded UTF-8. If a key occurs twice, the later value wins.
///
/// A printed header has at most [`MAX_BYTES`](Self::MAX_BYTES) bytes and [`MAX_MEMBERS`](Self::MAX_MEMBERS) members,
/// Sentry's first. A member that does not fit is skipped; a smaller one after it may still fit.
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

    /// The length of the longest header that is printed, in bytes: the W3C limit, which every SDK accepts.
    pub const MAX_BYTES: usize = 8192;

    /// The number of members that are printed at most: the limit of OpenTelemetry's and of Sentry's Java SDK.
    pub const MAX_MEMBERS: usize = 64;

    /// Reads all `baggage` lines of a request.
    ///
    /// Of Sentry's and of the foreign members, at most [`MAX_MEMBERS`](Self::MAX_MEMBERS) and
    /// [`MAX_BYTES`](Self::MAX_BYTES) each are kept, because no more could be printed again. Only the first 64 KiB are
    /// read, which bounds the work that a hostile request can cause.
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
        // Many requests have no baggage, and the two lists below take kilobytes of stack.
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

    /// The Sentry members; `None` if there are none.
    #[must_use]
    pub const fn dsc(&self) -> Option<&DynamicSamplingContext> {
        self.dsc.as_ref()
    }

    /// Returns the Sentry members and drops the rest.
    #[must_use]
    pub fn into_dsc(self) -> Option<DynamicSamplingContext> {
        self.dsc
    }

    /// The foreign members, as they came in.
    pub fn foreign(&self) -> impl Iterator<Item = &str> {
        split(&self.foreign)
    }

    /// Splits the header into Sentry's members and the text of all foreign ones.
    #[must_use]
    pub fn into_parts(self) -> (Option<DynamicSamplingContext>, String) {
        (self.dsc, self.foreign)
    }

    /// Prints a header from its members, within the limits. If the text is empty, there is no header to send.
    #[must_use]
    pub fn print<'a>(dsc: &'a DynamicSamplingContext, foreign: impl Iterator<Item = Cow<'a, str>>) -> String {
        let mut header = Header { text: String::with_capacity(dsc.as_text().len() + FOREIGN_ROOM), count: 0 };
        let sentry = split(dsc.as_text()).map(Cow::Borrowed);
        for member in sentry.chain(foreign) {
            header.push(&member);
        }
        header.text
    }

    /// Prints one foreign member. Properties are left out unless they are visible ASCII without a comma.
    #[must_use]
    pub fn encode_member(key: &str, value: &str, properties: &str) -> String {
        member(Encoded(key), value, properties)
    }

    /// Prints a foreign member that came in with another value and other properties. Its key stays as it came in: not
    /// every receiver decodes keys.
    #[must_use]
    pub fn change_member(came_in: &str, value: &str, properties: &str) -> String {
        let (key, _) = came_in.split_once('=').unwrap_or((came_in, ""));
        member(trim(key), value, properties)
    }

    /// Reads the key and the value of one foreign member, without its properties. A part that cannot be decoded is
    /// returned as it is.
    #[must_use]
    pub fn decode_member(member: &str) -> (Cow<'_, str>, Cow<'_, str>) {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        let (key, value) = (trim(key), trim(value.split(';').next().unwrap_or_default()));
        let decode = |text| percent::decode(text).unwrap_or(Cow::Borrowed(text));
        (decode(key), decode(value))
    }

    /// The properties of one foreign member, such as `ttl=1;private`, as they came in; empty if it has none.
    #[must_use]
    pub fn properties(member: &str) -> &str {
        member.split_once(';').map_or("", |(_, properties)| trim(properties))
    }
}

fn member(key: impl fmt::Display, value: &str, properties: &str) -> String {
    let visible = !properties.is_empty() && is_visible(properties) && !properties.contains(',');
    let properties = if visible { format!(";{properties}") } else { String::new() };
    format!("{key}={}{properties}", Encoded(value))
}

impl FromStr for Baggage {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse([text]))
    }
}

impl FromStr for DynamicSamplingContext {
    type Err = Infallible;

    /// Reads a `baggage` header and keeps its Sentry members; invalid ones are skipped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Baggage::parse([text]).into_dsc().unwrap_or_default())
    }
}

impl fmt::Display for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = DynamicSamplingContext::default();
        f.write_str(&Self::print(self.dsc.as_ref().unwrap_or(&none), self.foreign().map(Cow::Borrowed)))
    }
}

/// How many bytes of headers are read: several times as many as can be sent again.
const MAX_READ: usize = 64 << 10;

/// The capacity that a printed header reserves for foreign members; if they need more, the text is reallocated.
const FOREIGN_ROOM: usize = 256;

/// One member as it came in.
#[derive(Clone, Copy, Debug, Default)]
struct Member<'a> {
    key: &'a str,
    /// The value of a Sentry member, or all of a foreign one.
    text: &'a str,
    is_sentry: bool,
    /// Whether the key of a Sentry member is percent-encoded: then it is decoded before it is compared.
    is_escaped: bool,
}

impl<'a> Member<'a> {
    /// Reads a member that can be sent again.
    fn parse(text: &'a str) -> Option<Self> {
        let text = trim(text);
        let (key, value) = split_once(text, b'=')?;
        let (key, value) = (trim(key), trim(value));
        if key.is_empty() {
            return None;
        }
        match sentry_key(key) {
            None if key.starts_with(PREFIX) => None, // Sentry's, but it cannot be decoded
            // W3C allows an empty value. All of a foreign member is sent again, so all of it must be visible.
            None => is_visible(text).then_some(Self { key, text, is_sentry: false, is_escaped: false }),
            Some(name) if name.is_empty() || !is_visible(key) || !text.is_ascii() => None,
            Some(name) => {
                let text = split_once(value, b';').map_or(value, |(value, _)| trim(value));
                let is_escaped = matches!(name, Cow::Owned(_));
                let valid = !text.is_empty() && is_visible(text) && percent::is_valid(text);
                valid.then_some(Self { key, text, is_sentry: true, is_escaped })
            }
        }
    }

    /// Whether both members have the same key. Only Sentry's keys are decoded: foreign ones are opaque to us.
    fn is_same_key(&self, other: &Self) -> bool {
        let escaped = self.is_escaped || other.is_escaped;
        self.key == other.key || (escaped && percent::is_same(self.key, other.key))
    }

    /// The length of the printed member.
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

/// Sentry's or the foreign members within the limits, each key once. A fixed list: reading one allocates nothing.
#[derive(Debug)]
struct Members<'a> {
    list: [Member<'a>; Baggage::MAX_MEMBERS],
    count: usize,
    /// The length of the printed text, including commas.
    bytes: usize,
}

impl<'a> Members<'a> {
    /// Adds a member if it fits; it replaces an earlier one with the same key.
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

/// The part of one line that is read; a long line is cut between two members.
fn limited(line: &str) -> &str {
    match line.as_bytes().get(..MAX_READ) {
        Some(start) => start.iter().rposition(|byte| *byte == b',').map_or("", |end| &line[..end]),
        None => line,
    }
}
