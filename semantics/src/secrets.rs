//! Secrets, by the words that speak of them: in keys, and in URLs wherever they stand.

use crate::url::FILTERED_USER;

/// What stands in the place of a value that must not be shown.
const FILTERED: &str = "[Filtered]";

/// Parts of the keys of attributes whose text must not be shown, and their letters.
const SENSITIVE: [(&str, u32); 7] = [
    word("authorization"),
    word("cookie"),
    word("token"),
    word("secret"),
    word("password"),
    word("api-key"),
    word("api_key"),
];

/// Whether a key speaks of a secret. Most do not: a word is only looked for where all of its letters are.
#[must_use]
pub fn is_sensitive(key: &str) -> bool {
    let has = letters(key);
    let contains =
        |word: &str| key.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    SENSITIVE.iter().any(|(word, letters)| has & letters == *letters && contains(word))
}

const fn word(word: &'static str) -> (&'static str, u32) {
    (word, letters(word))
}

/// A bit for each letter of a text, in whatever case; other characters share these bits.
const fn letters(text: &str) -> u32 {
    let mut letters = 0;
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        letters |= 1 << (*first & 31);
        rest = others;
    }
    letters
}

/// A text without the secrets of the URLs in it: user info, and the values of parameters whose names speak of a secret.
/// `None` if it has none.
///
/// ```
/// use opentelemetry_sentry_semantics::without_secrets;
///
/// let error = "error sending request for url (https://me:pw@h.io/?api_key=x&page=2)";
/// let shown = "error sending request for url (https://[filtered]:[filtered]@h.io/?api_key=[Filtered]&page=2)";
/// assert_eq!(without_secrets(error).as_deref(), Some(shown));
/// assert_eq!(without_secrets("mail me@h.io"), None);
/// ```
#[must_use]
pub fn without_secrets(text: &str) -> Option<String> {
    if !text.contains(MARK) {
        return None;
    }
    let without_user = without_user_info(text);
    let without_both = without_parameters(without_user.as_deref().unwrap_or(text));
    without_both.or(without_user)
}

/// What stands between the scheme of a URL and its host.
const MARK: &str = "://";

/// The text with the user info of all its URLs filtered; `None` if there is none.
fn without_user_info(text: &str) -> Option<String> {
    if !text.as_bytes().contains(&b'@') {
        return None;
    }
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(MARK) {
        let (before, after) = rest.split_at(start + MARK.len());
        let ends = |c: char| matches!(c, '/' | '?' | '#' | '"' | '<' | '>') || c.is_whitespace();
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        shown.push_str(before);
        rest = after;
        if let Some(end) = authority.rfind('@') {
            shown.push_str(FILTERED_USER);
            rest = &after[end + 1..];
        }
    }
    shown.push_str(rest);
    (shown != text).then_some(shown)
}

/// A query, or a text with URLs, with the values filtered of parameters whose names speak of a secret; `None` if there
/// are none.
#[must_use]
pub fn without_parameters(text: &str) -> Option<String> {
    let ends_name = |c: char| matches!(c, '?' | '&' | '#' | ';' | '/') || c.is_whitespace();
    let ends_value = |c: char| matches!(c, '&' | '#' | ';' | '"' | '<' | '>' | ')') || c.is_whitespace();
    let mut shown = String::new();
    let mut rest = text;
    while let Some(place) = rest.find('=') {
        let (before, value) = rest.split_at(place + 1);
        let start = before[..place].rfind(ends_name);
        let mut name = before[start.unwrap_or(0)..place].chars();
        // Where a path begins, or words, there is no parameter.
        let is_parameter = match start.and_then(|_| name.next()) {
            Some(mark) => matches!(mark, '?' | '&' | '#' | ';'),
            None => shown.is_empty() || shown.ends_with(FILTERED),
        };
        shown.push_str(before);
        rest = value;
        if is_parameter && is_sensitive(name.as_str()) {
            let end = value.find(ends_value).unwrap_or(value.len());
            if end > 0 {
                shown.push_str(FILTERED);
            }
            rest = &value[end..];
        }
    }
    shown.push_str(rest);
    (shown != text).then_some(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_info_is_filtered_wherever_a_url_stands() {
        for (text, shown) in [
            ("https://user:pw@h.io:443/a?x#y", "https://[filtered]:[filtered]@h.io:443/a?x#y"),
            ("postgres://me:p@ss@db/shop", "postgres://[filtered]:[filtered]@db/shop"),
            ("postgres://u:it's-one@db/x", "postgres://[filtered]:[filtered]@db/x"),
            (
                "failed: https://u@h/ and ftp://a:b@c",
                "failed: https://[filtered]:[filtered]@h/ and ftp://[filtered]:[filtered]@c",
            ),
            ("://@", "://[filtered]:[filtered]@"),
        ] {
            assert_eq!(without_secrets(text).as_deref(), Some(shown));
        }
        for text in ["a@b.c", "https://h/@me", "https://h/?to=a@b", "", "://", "é://ü", "https://h/ mail me@h"] {
            assert_eq!(without_secrets(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_that_speak_of_secrets_are_filtered() {
        for (text, shown) in [
            ("https://h/a?x=1&API_KEY=2&t#f", "https://h/a?x=1&API_KEY=[Filtered]&t#f"),
            ("see https://h/#access_token=x.", "see https://h/#access_token=[Filtered]"),
            ("(https://h/?token=a=b) failed", "(https://h/?token=[Filtered]) failed"),
        ] {
            assert_eq!(without_secrets(text).as_deref(), Some(shown));
        }
        for text in ["token=1", "https://h/token=1", "https://h/?page=2", "https://h/?token", "https://h/?token=&x=1"] {
            assert_eq!(without_secrets(text), None, "{text}");
        }
        assert_eq!(without_parameters("token=1&x=2").as_deref(), Some("token=[Filtered]&x=2"));
    }

    #[test]
    fn keys_that_speak_of_secrets_are_known() {
        for key in
            ["authorization", "http.request.header.Cookie", "x-api-key", "dbPassword", "refresh_token", "SECRETS"]
        {
            assert!(is_sensitive(key), "{key}");
        }
        for key in ["http.route", "", "toke", "passwor", "apikey", "é", "author"] {
            assert!(!is_sensitive(key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn what_is_filtered_stays_as_it_is(text in ".{0,40}(://.{0,20}@.{0,20}[?&#](token|x)=.{0,9}){0,3}") {
            let shown = without_secrets(&text).unwrap_or_else(|| text.clone());
            prop_assert_eq!(without_secrets(&shown).unwrap_or_else(|| shown.clone()), shown);
        }
    }
}
