//! The user of an event. The rules are in the guide, page `mapping`, section "User".

use std::{borrow::Cow, net::IpAddr};

use opentelemetry_sentry_semantics::{Attributes, cut};
use serde::Serialize;

/// Sentry's `user`.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<Cow<'a, str>>,
}

/// The attributes for the address. `client.address` is not one of them: it need not be the user's.
const ADDRESSES: [&str; 3] = ["sentry.user.ip_address", "sentry.user.ip", "user.ip_address"];

/// The longest e-mail address that Sentry accepts, in characters.
const MAX_EMAIL: usize = 75;

/// The longest of the other texts.
const MAX_TEXT: usize = 128;

impl<'a> User<'a> {
    /// The user in the attributes of the first of these spans that has one.
    pub(crate) fn of(spans: impl IntoIterator<Item = Attributes<'a>>) -> Option<Self> {
        spans.into_iter().find_map(Self::of_span)
    }

    fn of_span(attributes: Attributes<'a>) -> Option<Self> {
        let is_address = |text: &Cow<'_, str>| text.parse::<IpAddr>().is_ok() || text == "{{auto}}";
        let text = |text: Option<Cow<'a, str>>| text.map(|text| cut_cow(text, MAX_TEXT));
        let email = attributes.first_text(["sentry.user.email", "user.email"]);
        let user = Self {
            id: text(attributes.first_text(["sentry.user.id", "user.id", "enduser.id"])),
            email: email.map(|email| cut_cow(email, MAX_EMAIL)),
            username: text(attributes.first_text(["sentry.user.username", "user.name"])),
            name: text(attributes.text("user.full_name")),
            ip_address: attributes.first_text(ADDRESSES).filter(is_address),
        };
        (user != Self::default()).then_some(user)
    }
}

fn cut_cow(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(cut(text, max)),
        Cow::Owned(text) => Cow::Owned(cut(&text, max).to_owned()),
    }
}
