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
/// Reading never fails: a member without `=`, with an empty key or value, or with characters outside visible ASCII is
/// left out, and so is a Sentry member that is not valid percent-encoded UTF-8. Of a key that comes twice the later
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
    /// more could be printed again; this also bounds the work that a hostile header can cause.
    #[must_use]
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sentry = List::default();
        let mut foreign = List::default();
        for member in lines.into_iter().flat_map(|line| line.split(',')) {
            let Some((key, value)) = split_member(member) else { continue };
            match sentry_key(key) {
                None if key.starts_with(PREFIX) => {} // not decodable
                None => foreign.keep(key, member.trim_matches(WHITE), ""),
                Some(name) if name.is_empty() => {}
                Some(_) => {
                    let value = value.split(';').next().unwrap_or_default().trim_matches(WHITE);
                    if !value.is_empty() && percent::decode(value).is_some() {
                        sentry.keep(key, key, value);
                    }
                }
            }
        }
        let dsc = (sentry.count > 0).then(|| DynamicSamplingContext::from_text(sentry.text));
        Self { dsc, foreign: foreign.text }
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
        let mut header = List { text: String::with_capacity(dsc.as_text().len() + 64), count: 0 };
        let sentry = split(dsc.as_text()).map(Cow::Borrowed);
        for member in sentry.chain(foreign) {
            header.push(&member);
        }
        header.text
    }

    /// Prints one foreign member; properties that are not visible ASCII are left out.
    #[must_use]
    pub fn encode_member(key: &str, value: &str, properties: &str) -> String {
        let visible = !properties.is_empty() && properties.bytes().all(is_visible) && !properties.contains(',');
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

/// Members under the limits.
#[derive(Debug, Default)]
struct List {
    text: String,
    count: usize,
}

impl List {
    /// Adds a member if it fits.
    fn push(&mut self, member: &str) {
        if self.has_room(member.len()) {
            push(&mut self.text, member);
            self.count += 1;
        }
    }

    /// Adds a member, in the place of an earlier one with the same key. It comes as the whole text, or as its key and
    /// its value.
    fn keep(&mut self, key: &str, start: &str, value: &str) {
        let equals = if value.is_empty() { "" } else { "=" };
        let length = start.len() + equals.len() + value.len();
        let earlier = split(&self.text).find(|earlier| is_same_key(key_of(earlier), key)).map(str::len);
        if let Some(earlier) = earlier {
            if self.text.len() - earlier + length <= Baggage::MAX_BYTES {
                let member = format!("{start}{equals}{value}");
                let other = |other| if is_same_key(key_of(other), key) { member.as_str() } else { other };
                self.text = split(&self.text).map(other).collect::<Vec<_>>().join(",");
            }
        } else if self.has_room(length) {
            push(&mut self.text, start);
            self.text.push_str(equals);
            self.text.push_str(value);
            self.count += 1;
        }
    }

    fn has_room(&self, length: usize) -> bool {
        let comma = usize::from(!self.text.is_empty());
        self.count < Baggage::MAX_MEMBERS && self.text.len() + comma + length <= Baggage::MAX_BYTES
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

/// Key and value of a member that can be sent again; both trimmed, the value with its properties.
fn split_member(member: &str) -> Option<(&str, &str)> {
    let (key, value) = member.split_once('=')?;
    let (key, value) = (key.trim_matches(WHITE), value.trim_matches(WHITE));
    let visible = member.bytes().all(is_visible);
    (visible && !key.is_empty() && !value.is_empty()).then_some((key, value))
}

/// Whether two keys mean the same. Only Sentry's are ours to decode.
fn is_same_key(left: &str, right: &str) -> bool {
    let escaped = left.contains('%') || right.contains('%');
    left == right || (escaped && sentry_key(left).is_some_and(|left| sentry_key(right) == Some(left)))
}

/// What a header can carry: anything else could not be sent again.
fn is_visible(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

fn key_of(member: &str) -> &str {
    member.split_once('=').map_or(member, |(key, _)| key).trim_matches(WHITE)
}

fn split(members: &str) -> impl Iterator<Item = &str> {
    members.split(',').filter(|member| !member.is_empty())
}
