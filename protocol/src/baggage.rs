//! The `baggage` header: Sentry's members, and those of other vendors.

mod read;

use std::{borrow::Cow, convert::Infallible, fmt, str::FromStr};

use self::read::{Member, read};
use crate::{
    dsc::DynamicSamplingContext,
    essentials::Essentials,
    header::{is_visible, trim},
    member::{count, push, split, split_once},
    percent,
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
        Self::read(lines).0
    }

    /// The same, and the entries of the context that the continuation of a trace depends on.
    #[doc(hidden)]
    #[must_use]
    pub fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> (Self, Essentials) {
        let mut unread = MAX_READ;
        let lines = lines.into_iter().take_while(|line| {
            let is_read = unread > 0;
            unread = unread.saturating_sub(line.len());
            is_read
        });
        let mut members = Members::default();
        lines.flat_map(|line| read(limited(line))).for_each(|member| members.keep(member));
        if members.list.is_empty() {
            return <(Self, Essentials)>::default();
        }
        let dsc = (members.sentry.count > 0).then(|| DynamicSamplingContext::from_text(members.text(true)));
        (Self { dsc, foreign: members.text(false) }, Essentials::of(members.entries()))
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
        header.begin(dsc.as_text());
        foreign.for_each(|member| header.push(&member));
        header.text
    }

    /// Prints one foreign member. Properties are left out unless they are visible ASCII without a comma.
    #[must_use]
    pub fn encode_member(key: &str, value: &str, properties: &str) -> String {
        let mut encoded = String::with_capacity(key.len());
        percent::encode(&mut encoded, key);
        member(encoded, value, properties)
    }

    /// Prints a foreign member that came in with another value and other properties. Its key stays as it came in: not
    /// every receiver decodes keys.
    #[must_use]
    pub fn change_member(came_in: &str, value: &str, properties: &str) -> String {
        let (key, _) = split_once(came_in, b'=').unwrap_or((came_in, ""));
        member(trim(key).to_owned(), value, properties)
    }

    /// Reads the key and the value of one foreign member, without its properties. A part that cannot be decoded is
    /// returned as it is.
    #[must_use]
    pub fn decode_member(member: &str) -> (Cow<'_, str>, Cow<'_, str>) {
        let (key, value) = split_once(member, b'=').unwrap_or((member, ""));
        let (key, value) = (trim(key), trim(split_once(value, b';').map_or(value, |(value, _)| value)));
        let decode = |text| percent::decode(text).unwrap_or(Cow::Borrowed(text));
        (decode(key), decode(value))
    }

    /// The properties of one foreign member, such as `ttl=1;private`, as they came in; empty if it has none.
    #[must_use]
    pub fn properties(member: &str) -> &str {
        split_once(member, b';').map_or("", |(_, properties)| trim(properties))
    }
}

/// A member that begins with this key.
fn member(mut key: String, value: &str, properties: &str) -> String {
    key.push('=');
    percent::encode(&mut key, value);
    if !properties.is_empty() && is_visible(properties) && !properties.contains(',') {
        key.extend([";", properties]);
    }
    key
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

/// Sentry's and the foreign members within the limits, each key once.
#[derive(Debug, Default)]
struct Members<'a> {
    /// Both kinds, so that there is one list to allocate. At most [`Baggage::MAX_MEMBERS`] of each.
    list: Vec<Member<'a>>,
    sentry: Printed,
    foreign: Printed,
}

/// The size of the printed members of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Printed {
    count: usize,
    /// Including commas.
    bytes: usize,
}

/// The members that most headers have at most.
const FEW: usize = 12;

impl<'a> Members<'a> {
    /// Adds a member if it fits; it replaces an earlier one with the same key.
    fn keep(&mut self, member: Member<'a>) {
        let earlier = self.list.iter().position(|earlier| earlier.is_same_key(&member));
        let printed = if member.is_sentry { &mut self.sentry } else { &mut self.foreign };
        let (bytes, count) = match earlier {
            Some(at) => (printed.bytes - self.list[at].len() + member.len(), printed.count),
            None => (printed.bytes + usize::from(printed.count > 0) + member.len(), printed.count + 1),
        };
        if bytes > Baggage::MAX_BYTES || count > Baggage::MAX_MEMBERS {
            return;
        }
        *printed = Printed { count, bytes };
        match earlier {
            Some(at) => self.list[at] = member,
            None => {
                if self.list.is_empty() {
                    self.list.reserve(FEW);
                }
                self.list.push(member);
            }
        }
    }

    /// The decoded keys and the encoded values of Sentry's members.
    fn entries(&self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        self.list.iter().filter_map(Member::entry)
    }

    /// The printed members of one kind.
    fn text(&self, is_sentry: bool) -> String {
        let mut text = String::with_capacity(if is_sentry { self.sentry } else { self.foreign }.bytes);
        self.list.iter().filter(|member| member.is_sentry == is_sentry).for_each(|member| member.print(&mut text));
        text
    }
}

/// A header that is printed under the limits.
struct Header {
    text: String,
    count: usize,
}

impl Header {
    /// Adds the first members, which mostly fit as they are.
    fn begin(&mut self, members: &str) {
        let count = count(members);
        if members.len() <= Baggage::MAX_BYTES && count <= Baggage::MAX_MEMBERS {
            self.text.push_str(members);
            self.count = count;
        } else {
            split(members).for_each(|member| self.push(member));
        }
    }

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
